// Changes one byte of a value in a Durable Object's database. Run by a Node that has node:sqlite, while workerd rests.
//
// node damage.mjs DATABASE KEY

import { DatabaseSync } from "node:sqlite";

const [path, key] = process.argv.slice(2);
const database = new DatabaseSync(path);
const found = database.prepare("SELECT value FROM _cf_KV WHERE key = ?").get(key);
if (found !== undefined) {
  const value = Uint8Array.from(found.value);
  value[value.length >> 1] ^= 1;
  database.prepare("UPDATE _cf_KV SET value = ? WHERE key = ?").run(value, key);
}
database.close();
console.log(found === undefined ? "absent" : "damaged");
