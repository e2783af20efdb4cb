// The page: a button, a bar, a curve, and what the model writes.

const [button, bar, chart, written] = ["button", "bar", "chart", "written"].map((id) => document.getElementById(id));
const text = await (await fetch("text.txt")).text();
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });

button.onclick = () => {
  const isStop = button.textContent === "Stop";
  worker.postMessage(isStop ? "stop" : { text });
  button.textContent = isStop ? "Stopping" : "Stop";
};
worker.onmessage = ({ data }) => {
  bar.value = data.step / data.steps;
  bar.title = `${data.step} of ${data.steps} steps`;
  chart.innerHTML = data.chart;
  if (data.written === undefined) return;
  written.textContent = data.written;
  button.textContent = data.step === data.steps ? "Done" : "Go on";
};
worker.onerror = ({ message }) => {
  written.textContent = message;
};
button.disabled = false;
