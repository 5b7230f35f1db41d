// A real CUDA process for tests: allocates VRAM through the driver API, runs a kernel on it, tells what is in it.
// Arguments: MiB to hold. Requests are lines on stdin, answers JSON lines: `step` runs the kernel, `digest` reads all.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import koffi from "koffi";
import { Library } from "../../runtime-agent/src/keeper/gpu/library.ts";
import type { CType, CValue } from "../../runtime-agent/src/keeper/gpu/library.ts";

/** v[i] = v[i] × 1664525 + (i × 0x9E3779B1 + seed): each step depends on all that was there before. */
const ptx = `
.version 6.4
.target sm_75
.address_size 64
.visible .entry mix(.param .u64 values, .param .u64 count, .param .u32 seed)
{
  .reg .pred %p<2>;
  .reg .b32 %r<9>;
  .reg .b64 %rd<8>;
  ld.param.u64 %rd1, [values];
  ld.param.u64 %rd2, [count];
  ld.param.u32 %r1, [seed];
  cvta.to.global.u64 %rd1, %rd1;
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  cvt.u64.u32 %rd4, %r4;
  mad.wide.u32 %rd3, %r2, %r3, %rd4;
  mov.u32 %r5, %nctaid.x;
  mul.wide.u32 %rd5, %r3, %r5;
LOOP:
  setp.ge.u64 %p1, %rd3, %rd2;
  @%p1 bra DONE;
  shl.b64 %rd6, %rd3, 2;
  add.u64 %rd7, %rd1, %rd6;
  cvt.u32.u64 %r6, %rd3;
  mad.lo.u32 %r7, %r6, 0x9E3779B1, %r1;
  ld.global.u32 %r8, [%rd7];
  mad.lo.u32 %r8, %r8, 1664525, %r7;
  st.global.u32 [%rd7], %r8;
  add.u64 %rd3, %rd3, %rd5;
  bra LOOP;
DONE:
  ret;
}
`;

const cuda = new Library("libcuda.so.1");
function call(name: string, types: readonly CType[], ...values: CValue[]): void {
  const code = cuda.find(name, types)?.(...values) ?? -1;
  if (code !== 0) throw new Error(`${name}: ${code}`);
}
function handle(name: string, types: readonly CType[], ...values: CValue[]): bigint {
  const out = Buffer.alloc(8);
  call(name, ["pointer", ...types], out, ...values);
  return out.readBigUInt64LE(0);
}

const bytes = Number(process.argv[2] ?? "64") * 1_048_576;
call("cuInit", ["uint32"], 0);
const device = Buffer.alloc(4);
call("cuDeviceGet", ["pointer", "int"], device, 0);
call("cuCtxSetCurrent", ["uint64"], handle("cuDevicePrimaryCtxRetain", ["int"], device.readInt32LE(0)));
const values = handle("cuMemAlloc_v2", ["uint64"], bytes);
call("cuMemsetD8_v2", ["uint64", "int", "uint64"], values, 0, bytes);
const kernels = handle("cuModuleLoadData", ["pointer"], Buffer.from(`${ptx}\0`));
const mix = handle("cuModuleGetFunction", ["uint64", "pointer"], kernels, Buffer.from("mix\0"));

/** Addresses of the kernel's three arguments and the arguments themselves, in one block of memory that never moves. */
const block = Buffer.alloc(48);
const address: unknown = koffi.address(block);
if (typeof address !== "bigint") throw new Error("koffi gave no address");
for (const index of [0, 1, 2]) block.writeBigUInt64LE(address + 24n + 8n * BigInt(index), 8 * index);

let steps = 0;
function step(): void {
  steps += 1;
  block.writeBigUInt64LE(values, 24);
  block.writeBigUInt64LE(BigInt(bytes / 4), 32);
  block.writeUInt32LE(steps, 40);
  const u = "uint32";
  call(
    "cuLaunchKernel",
    ["uint64", u, u, u, u, u, u, u, "pointer", "pointer", "pointer"],
    ...[mix, 512, 1, 1, 256, 1, 1, 0, null, block, null],
  );
  call("cuCtxSynchronize", []);
}

function digest(): string {
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(16 * 1_048_576);
  for (let at = 0; at < bytes; at += chunk.length) {
    const size = Math.min(chunk.length, bytes - at);
    call("cuMemcpyDtoH_v2", ["pointer", "uint64", "uint64"], chunk, values + BigInt(at), size);
    hash.update(chunk.subarray(0, size));
  }
  return hash.digest("hex");
}

step();
process.stdout.write(`${JSON.stringify({ ready: process.pid })}\n`);
createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (line === "step") step();
    process.stdout.write(`${JSON.stringify(line === "digest" ? { digest: digest(), steps } : { steps })}\n`);
  })
  .on("close", () => process.exit(0));
