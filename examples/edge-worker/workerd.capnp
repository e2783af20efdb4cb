# The worker under a local workerd: `workerd serve workerd.capnp` beside worker.js and the kernels, as `npm run test:edge` does.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "assets", disk = (path = "models")),
    (name = "objects", disk = (path = "data", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "kernels.wasm", wasm = embed "kernels.wasm"),
  ],
  bindings = [
    (name = "ASSETS", service = "assets"),
    (name = "USERS", durableObjectNamespace = "User"),
  ],
  durableObjectNamespaces = [(className = "User", uniqueKey = "user", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),
);
