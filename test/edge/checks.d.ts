export interface RunningService {
  readonly kills: boolean;
  readonly answersAll: boolean;
  address(): string;
  restart(kill?: boolean): Promise<void>;
  damage(user: string, name: string): Promise<void>;
  setModel(bytes: Uint8Array): Promise<void>;
}
export function makeModel(): Promise<Uint8Array<ArrayBuffer>>;
export function checksOf(host: RunningService, file: Uint8Array): Record<string, () => Promise<void>>;
