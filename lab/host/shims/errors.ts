/** Ends the tool with this message on standard error and this exit status. */
export class ToolError extends Error {
  readonly status: number;
  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}
