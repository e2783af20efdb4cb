/** What panels saved, kept in this browser. */

const [DATABASE, STORE] = ["tapeloop-playground", "panels"];

const finished = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

let opened: Promise<IDBDatabase> | undefined;
function database(): Promise<IDBDatabase> {
  if (opened === undefined) {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    opened = finished(request);
  }
  return opened;
}

async function inStore<T>(mode: IDBTransactionMode, use: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return finished(use((await database()).transaction(STORE, mode).objectStore(STORE)));
}

/** What a panel kept; undefined for nothing, and where a browser keeps nothing. */
export async function kept(panel: string): Promise<Uint8Array | undefined> {
  return inStore("readonly", (store) => store.get(panel) as IDBRequest<Uint8Array | undefined>).catch(() => undefined);
}

export async function keep(panel: string, bytes: Uint8Array): Promise<void> {
  await inStore("readwrite", (store) => store.put(bytes, panel)).catch(() => undefined);
}

export async function forget(panel: string): Promise<void> {
  await inStore("readwrite", (store) => store.delete(panel)).catch(() => undefined);
}
