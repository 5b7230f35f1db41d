/** The machine lacks what a part of the toolchain needs; the message says what, and how to get it. */
export class ToolchainUnavailable extends Error {
  override readonly name = "ToolchainUnavailable";
}
