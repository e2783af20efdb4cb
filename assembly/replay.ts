import { run } from "./index.gen";

/**
 * Runs a recorded list of kernel calls `steps` times, without leaving WebAssembly.
 *
 * program: count records of 8-byte slots: id, number of argument slots n, number of pointers m, n argument slots,
 * then m triples (argument slot, region, byte offset). Before a record runs, each of its pointers becomes
 * bases[region] + offset; after each step every base moves on by its region's stride.
 *
 * bases and strides: one 8-byte slot a region. The bases are left where the last step put them. @kernel
 */
export function replay(steps: i32, count: i32, program: usize, regions: i32, bases: usize, strides: usize): void {
  for (let t = 0; t < steps; t++) {
    let p = program;
    for (let i = 0; i < count; i++) {
      const id = <i32>load<f64>(p);
      const args = p + 24;
      const pointers = args + ((<usize>load<f64>(p, 8)) << 3);
      const end = pointers + (<usize>load<f64>(p, 16)) * 24;
      for (let q = pointers; q < end; q += 24) {
        const base = load<f64>(bases + ((<usize>load<f64>(q, 8)) << 3));
        store<f64>(args + ((<usize>load<f64>(q)) << 3), base + load<f64>(q, 16));
      }
      run(id, args);
      p = end;
    }
    for (let r = 0; r < regions; r++) {
      const at = <usize>r << 3;
      store<f64>(bases + at, load<f64>(bases + at) + load<f64>(strides + at));
    }
  }
}
