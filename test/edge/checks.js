// What the service must do, asked over HTTP. The expected answers come from the library, here and in one piece.

import { connect } from "node:net";
import { Adam, fit, Generator, noGrad, Vocabulary, WindowBatches } from "tapeloop";
import { bitsPerCharacter, CharModel, CharStream, decodeModel, encodeModel } from "tapeloop/models";

const BOOK =
  "the tide comes in and the tide goes out; what the sea brings in the morning the sea takes back at night. " +
  "a boat that waits for the tide waits for the moon, and the moon waits for no one. ";
const USER_TEXT = "a boat goes out at night and comes back in the morning; the sea waits for no moon. ".repeat(4);
const SLICE = 20;

function equal(what, got, expected) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
}

function holds(what, condition, detail) {
  if (!condition) throw new Error(`${what}: got ${JSON.stringify(detail)}`);
}

/** Sends bytes as they are; what comes back until the connection is closed. With `half`, nothing more is sent, and that is said. */
function exchange(address, bytes, half = false) {
  const { port, hostname } = new URL(address);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let got = "";
    socket.setTimeout(20_000, () =>
      socket.destroy(new Error(`expected an answer to ${JSON.stringify(bytes)}, got ${JSON.stringify(got)}`)),
    );
    socket.on("data", (part) => (got += part));
    socket.on("error", (error) => (error.code === "ECONNRESET" || error.code === "EPIPE" ? resolve(got) : reject(error)));
    socket.on("close", () => resolve(got));
    socket.write(bytes);
    if (half) setTimeout(() => socket.end(), 100);
  });
}

const HEAD = "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";

/** What is hardly a request: bytes, the status and the code that answer them, and whether nothing more is sent. */
const ODD_REQUESTS = [
  [`TRACE / ${HEAD}\r\n`, 405, "ERR_METHOD"],
  [`CONNECT a:80 ${HEAD}\r\n`, 405, "ERR_METHOD"],
  [`OPTIONS * ${HEAD}\r\n`, 405, "ERR_METHOD"],
  [`GET // ${HEAD}\r\n`, 404, "ERR_ROUTE"],
  [`GET //[ ${HEAD}\r\n`, 404, "ERR_ROUTE"],
  [`GET http://[ ${HEAD}\r\n`, 400, "ERR_URL"],
  [`GET nowhere ${HEAD}\r\n`, 400, "ERR_HTTP"],
  ["hello\r\n\r\n", 400, "ERR_HTTP"],
  [`GET / ${HEAD}x: ${"a".repeat(100_000)}\r\n\r\n`, 431, "ERR_HTTP"],
  ...["/score", "/users/odd/generate"].flatMap((path) => [
    [`POST ${path} ${HEAD}Content-Length: many\r\n\r\n`, 400, "ERR_HTTP"],
    [`POST ${path} ${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, "ERR_HTTP"],
    [`POST ${path} ${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n`, 400, "ERR_HTTP"],
    [`POST ${path} ${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`, 400, "ERR_HTTP", true],
    [`POST ${path} ${HEAD}Content-Length: 50\r\n\r\nhello`, 400, "ERR_HTTP", true],
  ]),
];
/** What workerd itself answers with status 500. */
const HOSTS_OWN = /^CONNECT /;
/** Node does without the Host header; where an address is made of it, it may be none. */
const ODD_HOSTS = ["[", "%", "a b", "a:99999"].flatMap((name) =>
  ["/", "/users/odd/state"].map((path) => `GET ${path} HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`),
);

/** A training on some text, in one piece. */
async function train(model, vocabulary, text, { steps, batch, window, lr }) {
  const losses = [];
  const training = fit(model, new WindowBatches(vocabulary.encode(text), { batch, window, dropLast: true }), {
    optimizer: new Adam(model.parameters(), { lr }),
    loss: (m, w, state) => m.loss(w, state),
    maxSteps: steps,
    clipNorm: 1,
    generator: new Generator(),
  });
  for await (const { loss } of training) losses.push(loss);
  return losses;
}

/** A model file like the command line's, of a small model that has learned a little. */
export async function makeModel() {
  const vocabulary = Vocabulary.fromText(BOOK, { unknown: "\uFFFD" });
  const model = new CharModel({ vocabSize: vocabulary.size, hidden: 48, seed: 11 });
  await train(model, vocabulary, BOOK.repeat(8), { steps: 150, batch: 8, window: 24, lr: 1e-2 });
  return encodeModel(model, vocabulary);
}

/** What the library itself writes. */
function writerOf(file) {
  const { model, vocabulary } = decodeModel(file);
  const stream = new CharStream(model, vocabulary);
  return (wishes) => {
    let text = "";
    wishes.forEach(({ prompt = "", length, temperature = 0.7, seed = 0 }, i) => {
      if (i === 0) stream.start(seed);
      stream.read(prompt);
      text += stream.write(length, temperature);
    });
    return { text, place: Array.from(stream.toBytes()) };
  };
}

/**
 * @param host a running service:
 *   address()           where it is, which may change with every start
 *   restart(kill)       ends it (`kill`: without warning) and starts it again on the same data
 *   damage(user, name)  changes a byte of what is kept, behind the service's back
 *   setModel(bytes)     puts another model file in its place
 *   kills               whether `restart(true)` is the end of what was under way
 *   answersAll          whether our code has a say in all that comes over its connections
 * @param file the model file the service began with
 */
export function checksOf(host, file) {
  const written = writerOf(file);

  const ask = (method, path, body, options = {}) =>
    fetch(new URL(path, host.address()), { method, ...(body === undefined ? {} : { body }), ...options });
  const post = (path, wish) => ask("POST", path, JSON.stringify(wish));

  /** The body of a good answer, as `kind`. */
  async function good(response, kind, status = 200) {
    if (response.status !== status) throw new Error(`expected status ${status}, got ${response.status}: ${await response.text()}`);
    return response[kind]();
  }

  const text = async (path, wish) => good(await post(path, wish), "text");
  const bytes = async (path) => Array.from(new Uint8Array(await good(await ask("GET", path), "arrayBuffer")));

  /** An error as JSON, of that status and code, whose message says that. */
  async function refused(response, status, code, message) {
    const body = await response.text();
    equal(`status of ${body}`, response.status, status);
    const { error } = JSON.parse(body);
    equal("code", error.code, code);
    holds(`message with ${message}`, message.test(error.message), error.message);
  }

  /** Only for services that are processes of their own. */
  const killed = {
    async "a slice that is killed half-way has not happened"() {
      const path = "/users/unlucky/training";
      await good(await ask("PUT", path, USER_TEXT), "json", 201);
      const first = await good(await ask("POST", `${path}?maxSteps=${SLICE}`), "json");
      const lost = ask("POST", `${path}?maxSteps=500`).then(
        ({ status }) => status,
        () => "no answer",
      );
      await new Promise((resolve) => setTimeout(resolve, 200));
      await host.restart(true);
      equal("the slice", await lost, "no answer");
      equal("step", (await good(await ask("GET", path), "json")).step, SLICE);
      const second = await good(await ask("POST", `${path}?maxSteps=${SLICE}`), "json");
      const { model, vocabulary } = decodeModel(file);
      const losses = await train(model, vocabulary, USER_TEXT, { steps: 2 * SLICE, batch: 4, window: 32, lr: 2e-3 });
      equal(
        "losses",
        [...first.bitsPerCharacter, ...second.bitsPerCharacter],
        losses.map((loss) => loss / Math.LN2),
      );
    },
  };

  return {
    async "says what it is"() {
      const { model, limits, routes } = await good(await ask("GET", "/"), "json");
      equal("hidden", model.hidden, 48);
      equal("limit", limits.body, 262144);
      holds("routes", routes.includes("POST /users/NAME/training"), routes);
    },

    async "streams the text the library writes, in pieces"() {
      const wish = { prompt: "the ", length: 700, temperature: 0.8, seed: 3 };
      const response = await post("/generate", wish);
      equal("status", response.status, 200);
      const decoder = new TextDecoder();
      let [got, pieces] = ["", 0];
      for await (const piece of response.body) {
        got += decoder.decode(piece, { stream: true });
        pieces++;
      }
      equal("text", got, written([wish]).text);
      holds("several pieces", pieces > 1, pieces);
      equal("the same again", await text("/generate", wish), got);
      holds("another seed, another text", (await text("/generate", { ...wish, seed: 4 })) !== got, got);
    },

    async "scores as the library does"() {
      const { model, vocabulary } = decodeModel(file);
      const line = "the sea brings the boat back in the morning.";
      const expected = noGrad(() => bitsPerCharacter(model, vocabulary.encode(line), { batch: 1, window: 256 }));
      const scored = await good(await ask("POST", "/score", line), "json");
      equal("score", scored, { characters: line.length, bitsPerCharacter: expected });
      const noise = await good(await ask("POST", "/score", "zzzqqq xxx"), "json");
      holds("noise is less likely", noise.bitsPerCharacter > 2 * scored.bitsPerCharacter, noise);
    },

    async "keeps two users apart who write at the same time, over a restart"() {
      const wishes = {
        ann: [{ prompt: "the boat ", length: 300, seed: 1 }, { length: 250 }, { prompt: "and ", length: 100 }],
        bob: [{ prompt: "a moon ", length: 280, seed: 2, temperature: 1 }, { length: 300, temperature: 1 }, { length: 50 }],
      };
      const got = { ann: "", bob: "" };
      for (const i of [0, 1, 2]) {
        if (i === 2) await host.restart();
        const parts = await Promise.all(Object.keys(got).map((user) => text(`/users/${user}/generate`, wishes[user][i])));
        got.ann += parts[0];
        got.bob += parts[1];
      }
      for (const user of ["ann", "bob"]) {
        const expected = written(wishes[user]);
        equal(`text of ${user}`, got[user], expected.text);
        equal(`state of ${user}`, await bytes(`/users/${user}/state`), expected.place);
      }
    },

    async "of one user's two requests at a time, what is answered whole is what counts"() {
      const wish = { prompt: "the ", length: 640 };
      const answers = await Promise.allSettled([1, 2].map(() => text("/users/twice/generate", wish)));
      const whole = answers.filter((a) => a.status === "fulfilled");
      holds("one whole text at least", whole.length >= 1, answers.map(String));
      equal("state", await bytes("/users/twice/state"), written(whole.map(() => wish)).place);
    },

    async "a text that is broken off leaves the state where it was"() {
      const first = { prompt: "the tide ", length: 40 };
      await text("/users/gone/generate", first);
      const stop = new AbortController();
      const response = await ask("POST", "/users/gone/generate", JSON.stringify({ length: 10_000 }), { signal: stop.signal });
      await response.body.getReader().read();
      stop.abort();
      await new Promise((resolve) => setTimeout(resolve, 1000)); // time enough to write it all, if somebody still did
      equal("state", await bytes("/users/gone/state"), written([first]).place);
      equal("goes on", await text("/users/gone/generate", { length: 30 }), written([first, { length: 30 }]).text.slice(40));
    },

    async "a state goes from one user to another as bytes"() {
      const first = { prompt: "the moon ", length: 90, seed: 5 };
      await text("/users/from/generate", first);
      const place = await bytes("/users/from/state");
      equal("status", (await ask("PUT", "/users/to/state", new Uint8Array(place))).status, 204);
      equal("goes on", await text("/users/to/generate", { length: 60 }), written([first, { length: 60 }]).text.slice(90));
    },

    async "a damaged state sent in is refused, and the kept one stays"() {
      await text("/users/firm/generate", { prompt: "a ", length: 20 });
      const place = await bytes("/users/firm/state");
      const damaged = Uint8Array.from(place, (byte, i) => (i === 100 ? byte ^ 1 : byte));
      await refused(await ask("PUT", "/users/firm/state", damaged), 422, "ERR_FORMAT", /expected the checksum to fit/);
      await refused(await ask("PUT", "/users/firm/state", damaged.subarray(0, 50)), 422, "ERR_FORMAT", /expected/);
      equal("state", await bytes("/users/firm/state"), place);
    },

    async "a state damaged where it is kept is told, left as it is, and gone after a reset"() {
      const wish = { prompt: "the ", length: 20 };
      await text("/users/hurt/generate", wish);
      await host.damage("hurt", "state");
      const message = /changed bytes; DELETE \/users\/hurt\/state starts anew/;
      for (let i = 0; i < 2; i++) {
        await refused(await post("/users/hurt/generate", wish), 409, "ERR_FORMAT", message);
        await refused(await ask("GET", "/users/hurt/state"), 409, "ERR_FORMAT", message);
      }
      equal("reset", (await ask("DELETE", "/users/hurt/state")).status, 204);
      await refused(await ask("GET", "/users/hurt/state"), 404, "ERR_NOTHING", /got none/);
      equal("anew", await text("/users/hurt/generate", wish), written([wish]).text);
    },

    async "trains in slices over restarts as in one run, to the bit"() {
      const { model, vocabulary } = decodeModel(file);
      const losses = await train(model, vocabulary, USER_TEXT, { steps: 3 * SLICE, batch: 4, window: 32, lr: 2e-3 });
      const path = "/users/pupil/training";
      const begun = await good(await ask("PUT", path, USER_TEXT), "json", 201);
      equal("begun", [begun.step, begun.characters], [0, USER_TEXT.length]);
      const bits = [];
      for (const kill of [false, true, null]) {
        const slice = await good(await ask("POST", `${path}?maxSteps=${SLICE}`), "json");
        bits.push(...slice.bitsPerCharacter);
        equal("step", slice.step, bits.length);
        if (kill !== null) await host.restart(kill);
        equal("kept", (await good(await ask("GET", path), "json")).step, bits.length);
      }
      equal(
        "losses",
        bits,
        losses.map((loss) => loss / Math.LN2),
      );
      holds("learned", bits.at(-1) < 0.9 * bits[0], bits);
      equal("model file", await bytes(`${path}/model`), Array.from(encodeModel(model, vocabulary)));
    },

    async "two slices at a time count as they are answered"() {
      const path = "/users/hasty/training";
      await good(await ask("PUT", path, USER_TEXT), "json", 201);
      const answers = await Promise.all([1, 2].map(() => ask("POST", `${path}?maxSteps=5`)));
      const done = answers.filter(({ status }) => status === 200).length;
      holds("one done at least", done >= 1, done);
      for (const answer of answers.filter(({ status }) => status !== 200)) await refused(answer, 409, "ERR_CONFLICT", /ask again/);
      equal("step", (await good(await ask("GET", path), "json")).step, 5 * done);
    },

    async "a training that cannot be begun, or gone on with, is told"() {
      const path = "/users/dull/training";
      await refused(await ask("POST", path), 404, "ERR_NOTHING", /expected user dull to have one/);
      await refused(await ask("PUT", path, "short"), 422, "ERR_ARGUMENT", /expected at least 129 symbols for 4 streams, got 5/);
      await refused(await ask("GET", path), 404, "ERR_NOTHING", /got none/);
      await good(await ask("PUT", path, USER_TEXT), "json", 201);
      await refused(await ask("PUT", path, USER_TEXT), 409, "ERR_CONFLICT", /DELETE/);
      await refused(await ask("POST", `${path}?maxSteps=1000000`), 422, "ERR_ARGUMENT", /maxSteps: expected a whole number in \[1, 500\]/);
      await refused(await ask("POST", `${path}?maxSteps=some`), 422, "ERR_ARGUMENT", /maxSteps/);
      await host.damage("dull", "training");
      await refused(await ask("POST", path), 409, "ERR_FORMAT", /changed bytes; DELETE \/users\/dull\/training/);
      equal("reset", (await ask("DELETE", path)).status, 204);
      await refused(await ask("GET", path), 404, "ERR_NOTHING", /got none/);
    },

    async "takes no body larger than the limit, whether its length is announced or not"() {
      const large = "the sea ".repeat(40_000);
      await refused(await ask("POST", "/score", large), 413, "ERR_TOO_LARGE", /at most 262144 bytes/);
      const part = new TextEncoder().encode(large.slice(0, 50_000));
      let parts = 0;
      const body = new ReadableStream({
        pull(controller) {
          if (parts++ < 8) controller.enqueue(part);
          else controller.close();
        },
      });
      const streamed = await ask("POST", "/users/big/generate", body, { duplex: "half" });
      await refused(streamed, 413, "ERR_TOO_LARGE", /at most 262144 bytes/);
      await good(await ask("GET", "/"), "json");
    },

    async "tells what is wrong with a request"() {
      await refused(await ask("GET", "/nowhere"), 404, "ERR_ROUTE", /path/);
      await refused(await ask("GET", "/constructor"), 404, "ERR_ROUTE", /path/);
      await refused(await ask("GET", "/users/ann"), 404, "ERR_ROUTE", /path/);
      await refused(await ask("GET", "/users/a%2Fb/state"), 404, "ERR_ROUTE", /path/);
      const wrong = await ask("DELETE", "/generate");
      equal("allow", wrong.headers.get("allow"), "POST");
      await refused(wrong, 405, "ERR_METHOD", /expected POST, got DELETE/);
      await refused(await ask("POST", "/generate", "{"), 400, "ERR_BODY", /expected JSON/);
      await refused(await ask("POST", "/generate", "[]"), 400, "ERR_BODY", /expected a JSON object/);
      await refused(await ask("POST", "/score", new Uint8Array([0xc3, 0x28])), 400, "ERR_BODY", /UTF-8/);
      await refused(await ask("POST", "/score", "x"), 422, "ERR_ARGUMENT", /expected at least 2 symbols/);
      await refused(await post("/generate", {}), 422, "ERR_STATE", /expected at least one character/);
      await refused(await post("/generate", { prompt: 5 }), 422, "ERR_ARGUMENT", /prompt: expected text, got 5/);
      for (const [name, value] of Object.entries({ length: 0, temperature: "hot", seed: 1.5 })) {
        await refused(await post("/generate", { prompt: "a", [name]: value }), 422, "ERR_ARGUMENT", new RegExp(`^${name}: expected`));
      }
      await refused(await post("/generate", { prompt: "a", length: 10_001 }), 422, "ERR_ARGUMENT", /\[1, 10000\], got 10001/);
    },

    async "says in few words what is wrong with what is deep or long"() {
      const nested = (open, close) => `${open.repeat(20_000)}1${close.repeat(20_000)}`;
      for (const name of ["prompt", "length", "temperature", "seed"]) {
        for (const deep of [nested("[", "]"), nested('{"a":', "}")]) {
          const message = new RegExp(`^${name}: expected .{1,60}, got an (array|object)$`);
          await refused(await ask("POST", "/generate", `{"${name}":${deep}}`), 422, "ERR_ARGUMENT", message);
        }
      }
      await refused(await post("/generate", { prompt: "a", length: "9".repeat(9000) }), 422, "ERR_ARGUMENT", /^length: .{1,150}…$/);
      await refused(await ask("GET", `/${"x".repeat(5000)}`), 404, "ERR_ROUTE", /^path: .{1,150}…$/);
    },

    async "answers what is hardly a request, or leaves it to the host to refuse, and goes on"() {
      const odd = async (bytes, half) => {
        const got = await exchange(host.address(), bytes, half);
        const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(got)?.[1] ?? 0);
        const code = /\{"error":\{"code":"(\w+)"/.exec(got)?.[1];
        const detail = `${JSON.stringify(bytes.slice(0, 100))}: ${JSON.stringify(got.slice(0, 300))}`;
        const sound = code === undefined ? status < 500 || HOSTS_OWN.test(bytes) : status >= 400 && status < 500;
        holds("no failure of the service", sound, detail);
        await good(await ask("GET", "/"), "json");
        return { detail, answer: [status, code] };
      };
      for (const [bytes, status, code, half] of ODD_REQUESTS) {
        const { detail, answer } = await odd(bytes, half);
        if (host.answersAll) equal(detail, answer, [status, code]);
      }
      for (const bytes of ODD_HOSTS) await odd(bytes);
      await refused(await ask("GET", "/users/odd/state"), 404, "ERR_NOTHING", /got none/);
    },

    async "a truncated model file is told; a whole one is taken up without a restart"() {
      await host.setModel(file.subarray(0, 5000));
      await host.restart();
      await refused(await ask("GET", "/"), 500, "ERR_FORMAT", /model file of 5000 bytes: safetensors: expected/);
      await refused(await post("/users/ann/generate", { length: 5 }), 500, "ERR_FORMAT", /model file of 5000 bytes/);
      await host.setModel(file.subarray(0, 3));
      await refused(await ask("GET", "/"), 500, "ERR_FORMAT", /expected at least 8 bytes, got 3/);
      await host.setModel(file);
      equal("text", await text("/generate", { prompt: "the ", length: 50 }), written([{ prompt: "the ", length: 50 }]).text);
    },

    async "what was kept for another model is not taken for this one's"() {
      await text("/users/loyal/generate", { prompt: "the ", length: 10 });
      const { model, vocabulary } = decodeModel(file);
      await train(model, vocabulary, BOOK, { steps: 1, batch: 2, window: 8, lr: 1e-3 });
      await host.setModel(encodeModel(model, vocabulary));
      await host.restart();
      await refused(await post("/users/loyal/generate", { length: 5 }), 409, "ERR_FORMAT", /expected one of model [0-9a-f]{64}, got/);
      await host.setModel(file);
      await host.restart();
      equal(
        "goes on",
        await text("/users/loyal/generate", { length: 5 }),
        written([{ prompt: "the ", length: 10 }, { length: 5 }]).text.slice(10),
      );
    },
    ...(host.kills ? killed : {}),
  };
}
