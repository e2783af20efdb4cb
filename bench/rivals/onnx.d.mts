type Attribute =
  | number
  | { readonly float: number }
  | { readonly text: string }
  | { readonly tensor: Uint8Array }
  | { readonly graph: Uint8Array }
  | { readonly floats: readonly number[] }
  | { readonly ints: readonly number[] }
  | { readonly texts: readonly string[] };

type ElementName = "float" | "uint8" | "int8" | "int32" | "int64" | "bool" | "float16" | "double";
type Dims = readonly (number | string)[];
type Infos = Readonly<Record<string, null | Dims | { readonly type?: ElementName; readonly shape?: Dims }>>;

interface GraphParts {
  readonly nodes: readonly Uint8Array[];
  readonly initializers?: readonly Uint8Array[];
  readonly inputs: Infos;
  readonly outputs: Infos;
}

export function int(id: number, value: number): Uint8Array;
export function bytes(id: number, content: string | Uint8Array): Uint8Array;
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer>;
export function node(
  type: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes?: Readonly<Record<string, Attribute>>,
  domain?: string,
): Uint8Array;
export function initializer(name: string, shape: readonly number[], values: ArrayBufferView, type?: ElementName): Uint8Array;
export function graph(parts: GraphParts): Uint8Array;
export function model(parts: GraphParts & { readonly opset?: number; readonly format?: number }): Uint8Array<ArrayBuffer>;
