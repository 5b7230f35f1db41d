import type { Rule } from "../rule.ts";
import agentLimits from "./agent-limits.ts";
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
import sentinelNoAgent from "./sentinel-no-agent.ts";
import serverBudget from "./server-budget.ts";
import serverExpires from "./server-expires.ts";
import serverKeyOwn from "./server-key-own.ts";
import serverPortsClosed from "./server-ports-closed.ts";
import serverSizeFits from "./server-size-fits.ts";
import startupBastionFirst from "./startup-bastion-first.ts";
import throwawayUnprotected from "./throwaway-unprotected.ts";
import tradingAiApart from "./trading-ai-apart.ts";
import tradingCoresExclusive from "./trading-cores-exclusive.ts";
import tradingCoresPhysical from "./trading-cores-physical.ts";
import vmLegacyOnly from "./vm-legacy-only.ts";

/** Every rule of the pack, in the order in which violations are reported. */
export const rules: readonly Rule[] = [
  agentLimits,
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
  sentinelNoAgent,
  serverBudget,
  serverExpires,
  serverKeyOwn,
  serverPortsClosed,
  serverSizeFits,
  startupBastionFirst,
  throwawayUnprotected,
  tradingAiApart,
  tradingCoresExclusive,
  tradingCoresPhysical,
  vmLegacyOnly,
];
