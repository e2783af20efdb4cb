/** An error that the user can fix: printed in one line, with exit code 2. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** Explains a file system error to the user. */
export function fileError(path: string, error: unknown): UserError {
  const reasons: Record<string, string> = {
    ENOENT: "there is no such file",
    EISDIR: "it is a folder",
    ENOTDIR: "a part of its path is not a folder",
    EACCES: "access is denied",
    EPERM: "access is denied",
  };
  const { code, message } = error as NodeJS.ErrnoException;
  return new UserError(`${path}: ${reasons[code ?? ""] ?? message}`, { cause: error });
}
