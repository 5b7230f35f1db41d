import type { Rule } from "../rule.ts";
import agentTimeoutSet from "./agent-timeout-set.ts";
import credentialInput from "./credential-input.ts";
import credentialOutput from "./credential-output.ts";
import deviceOwnerSingle from "./device-owner-single.ts";
import dmzBridgeOnly from "./dmz-bridge-only.ts";
import guestIdRange from "./guest-id-range.ts";
import guestIdUnique from "./guest-id-unique.ts";
import guestProtection from "./guest-protection.ts";
import guestSnapshots from "./guest-snapshots.ts";
import guestTags from "./guest-tags.ts";
import memoryBalloonFloors from "./memory-balloon-floors.ts";
import privateBridgeDeclared from "./private-bridge-declared.ts";
import rootFieldDeclared from "./root-field-declared.ts";
import rootStepPresent from "./root-step-present.ts";
import startupBastionFirst from "./startup-bastion-first.ts";
import tradingAiApart from "./trading-ai-apart.ts";
import tradingCoresExclusive from "./trading-cores-exclusive.ts";
import tradingCoresPhysical from "./trading-cores-physical.ts";
import vmLegacyOnly from "./vm-legacy-only.ts";

/** Every rule of the pack, in the order in which violations are reported. */
export const rules: readonly Rule[] = [
  agentTimeoutSet,
  credentialInput,
  credentialOutput,
  deviceOwnerSingle,
  dmzBridgeOnly,
  guestIdRange,
  guestIdUnique,
  guestProtection,
  guestSnapshots,
  guestTags,
  memoryBalloonFloors,
  privateBridgeDeclared,
  rootFieldDeclared,
  rootStepPresent,
  startupBastionFirst,
  tradingAiApart,
  tradingCoresExclusive,
  tradingCoresPhysical,
  vmLegacyOnly,
];
