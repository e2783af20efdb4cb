/** Zip archives and pickles, put together byte by byte. */

const utf8 = new TextEncoder();

const word = (n: number, width: number): number[] => Array.from({ length: width }, (_, i) => Math.floor(n / 256 ** i) % 256);

/** What a test may lie about in an entry. */
export interface Stored {
  readonly name: string;
  readonly data: ArrayLike<number>;
  readonly method?: number;
  readonly flags?: number;
  readonly size?: number;
  readonly start?: number;
}

export const stored = (name: string, data: ArrayLike<number> | string, lies: Partial<Stored> = {}): Stored => ({
  name,
  data: typeof data === "string" ? utf8.encode(data) : data,
  ...lies,
});

/** An archive; `wide` writes all numbers in 64 bits, as PyTorch does where they need it. */
export function zipOf(
  entries: readonly Stored[],
  { wide = false, comment = "", count = entries.length }: { wide?: boolean; comment?: string; count?: number } = {},
): Uint8Array {
  const out: number[] = [];
  const directory: number[] = [];
  for (const { name, data, method = 0, flags = 0, size = data.length, start = out.length } of entries) {
    const text = [...utf8.encode(name)];
    const header = [
      ...word(0x04034b50, 4),
      20,
      0,
      ...word(flags, 2),
      ...word(method, 2),
      ...word(0, 8),
      ...word(data.length, 4),
      ...word(data.length, 4),
    ];
    out.push(...header, ...word(text.length, 2), 0, 0, ...text);
    for (let i = 0; i < data.length; i++) out.push(data[i] as number);
    const extra = wide
      ? [...word(9, 2), ...word(2, 2), 7, 7, ...word(1, 2), ...word(24, 2), ...word(size, 8), ...word(size, 8), ...word(start, 8)]
      : [];
    const sizes = wide ? [0xffffffff, 0xffffffff, 0xffffffff] : [size, size, start];
    const numbers = [
      ...word(sizes[0] as number, 4),
      ...word(sizes[1] as number, 4),
      ...word(text.length, 2),
      ...word(extra.length, 2),
      ...word(0, 10),
    ];
    directory.push(
      ...word(0x02014b50, 4),
      20,
      0,
      20,
      0,
      ...word(flags, 2),
      ...word(method, 2),
      ...word(0, 8),
      ...numbers,
      ...word(sizes[2] as number, 4),
      ...text,
      ...extra,
    );
  }
  const at = out.length;
  out.push(...directory);
  if (wide) {
    const end = out.length;
    out.push(
      ...word(0x06064b50, 4),
      ...word(44, 8),
      45,
      0,
      45,
      0,
      ...word(0, 8),
      ...word(count, 8),
      ...word(count, 8),
      ...word(directory.length, 8),
      ...word(at, 8),
    );
    out.push(...word(0x07064b50, 4), ...word(0, 4), ...word(end, 8), ...word(1, 4));
  }
  const [counted, bytes, from] = wide ? [0xffff, 0xffffffff, 0xffffffff] : [count, directory.length, at];
  out.push(
    ...word(0x06054b50, 4),
    ...word(0, 4),
    ...word(counted, 2),
    ...word(counted, 2),
    ...word(bytes, 4),
    ...word(from, 4),
    ...word(comment.length, 2),
  );
  return Uint8Array.from([...out, ...utf8.encode(comment)]);
}

/** A pickle of protocol 2: texts stand for their bytes in latin-1, numbers for themselves. */
export function pickleOf(...parts: readonly (string | number)[]): Uint8Array {
  const body = parts.flatMap((part) => (typeof part === "number" ? [part] : Array.from(part, (c) => c.charCodeAt(0))));
  return Uint8Array.from([0x80, 2, ...body, 0x2e]);
}

const text = (s: string): string => `X${String.fromCharCode(...word(s.length, 4))}${s}`;
const int = (n: number): string => `J${String.fromCharCode(...word(n >>> 0, 4))}`;
const tuple = (values: readonly number[]): string => `(${values.map(int).join("")}t`;

export interface Described {
  readonly key?: string;
  readonly storage?: string;
  readonly elements: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** A tensor as PyTorch pickles it. */
export function tensorPickle({ key = "0", storage = "FloatStorage", elements, offset = 0, shape, strides }: Described): string {
  const id = `(${text("storage")}ctorch\n${storage}\n${text(key)}${text("cpu")}${int(elements)}tQ`;
  return `ctorch._utils\n_rebuild_tensor_v2\n(${id}${int(offset)}${tuple(shape)}${tuple(strides)}\x89ccollections\nOrderedDict\n)RtR`;
}

export const namedPickle = (entries: readonly (readonly [name: string, value: string])[]): Uint8Array =>
  pickleOf(`}(${entries.map(([name, value]) => text(name) + value).join("")}u`);
