// A loop that leaves the event loop no turn, and what can be done after it: node at-once.mjs LIBRARY LIMIT_MIB

const [library, limit] = process.argv.slice(2);
const { add, memory, scope, setMemoryLimit, zeros } = await import(library);

setMemoryLimit(Number(limit) * 2 ** 20);
const make = () => add(zeros([1000]), 1);
let times = 0;
let error = null;
try {
  for (; times < 1e6; times++) {
    make();
    await null;
  }
} catch (e) {
  error = `${e.code} ${e.message}`;
}
const turn = () => new Promise((resolve) => setTimeout(resolve, 10));
for (let i = 0; i < 100 && memory().liveBytes > (Number(limit) * 2 ** 20) / 2; i++) await turn();
make();
for (let i = 0; i < 100_000; i++) scope(() => void make());
console.log(JSON.stringify({ times, error, ...memory() }));
