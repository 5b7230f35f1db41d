import * as pulumi from "@pulumi/pulumi";
import { planOrThrow } from "../proxmox/resourceText.ts";
import { knownBundles, regionOf } from "../shared/vps/lightsail.ts";
import { committedOf, type Budget } from "../shared/vps/budget.ts";
import type { Offer } from "../shared/vps/offers.ts";
import { planServer, proxmoxOffers, type Opening, type ServerLife } from "../shared/vps/serverPlan.ts";
import type { AgentKind } from "../shared/vps/sizing.ts";
import { lightsailServer } from "./lightsailServer.ts";
import { loginOf, type VpsPlace } from "./place.ts";
import { proxmoxServer } from "./proxmoxServer.ts";

/** Arguments of {@link Vps}. */
export interface VpsArgs {
  /** Its name at the provider; a DNS label. */
  readonly hostname: string;
  readonly kind: AgentKind;
  /** @default the floor of its kind */
  readonly size?: string | undefined;
  /** What it is for and how long; the Sentinel's is protected and has a static address and backups. */
  readonly life: ServerLife;
  readonly place: VpsPlace;
  /** What the provider sells, as looked up there. @default the table of this library, or what a Proxmox host gives */
  readonly offers?: readonly Offer[] | undefined;
  readonly budget: Budget;
  /** Ports that are open, and for whom; all others are closed. */
  readonly openings: readonly Opening[];
  /** Public half of the server's own SSH key: `ssh-ed25519 AAAA…`. */
  readonly publicKey: string;
  /** What it reaches in private networks, if it is a throwaway server on Proxmox. @default nothing */
  readonly peers?: readonly { readonly address: string; readonly port: number }[] | undefined;
  /** The time, ms since the epoch. @default now */
  readonly nowMs?: number | undefined;
}

/** What a place sells, as far as it is known without asking. */
export function usualOffers(place: VpsPlace): readonly Offer[] {
  return place.provider === "proxmox" ? proxmoxOffers : knownBundles(regionOf(place.zone) ?? "");
}

/**
 * One virtual private server: at AWS Lightsail, or a guest of one's own Proxmox host. Of the right size for its kind, at
 * the lowest price within the budget, which is told before anything is made; closed but for what is asked for.
 *
 * @example
 * new Vps("server", { hostname: "agent-x", kind: "browser-light", life: { agent: "x", created, ttlSec: 86400 },
 *   place: { provider: "lightsail", zone: "eu-west-3a" }, budget: { centsPerMonth: 5000 }, openings, publicKey });
 *
 * @throws pulumi.InputPropertiesError with every fault of the arguments at once.
 */
export class Vps extends pulumi.ComponentResource {
  /** The server itself: what lives on it is `deletedWith` it. */
  readonly machine: pulumi.CustomResource;
  /** What must be there before it can be reached. */
  readonly ready: readonly pulumi.Resource[];
  readonly address: pulumi.Output<string>;
  /** The provider's own name for it: the instance's, or the guest's id. */
  readonly serverId: pulumi.Output<string>;
  /** Differs from that of every other server, also of one that had its name before. */
  readonly life: pulumi.Output<string>;
  /** Its SSH host key as the provider witnessed it; an empty text where nobody did. */
  readonly witnessedKey: pulumi.Output<string>;
  /** Its id, if it is a container on a Proxmox host; else an empty text. */
  readonly container: string;
  /** Account to log in with; root, or one that may use sudo. */
  readonly user: string;
  /** US cents at most. */
  readonly centsPerMonth: pulumi.Output<number>;
  readonly centsPerHour: pulumi.Output<number>;
  readonly vcpus: number;
  readonly ramMiB: number;

  constructor(name: string, args: VpsArgs, opts?: pulumi.ComponentResourceOptions) {
    const { place, hostname, publicKey, peers = [], nowMs = Date.now() } = args;
    const plan = planOrThrow(
      `server ${name}`,
      planServer({
        name: hostname,
        provider: place.provider,
        kind: args.kind,
        size: args.size,
        life: args.life,
        offers: args.offers ?? usualOffers(place),
        budget: args.budget,
        openings: args.openings,
        nowMs,
      }),
    );
    const { offer, size, tags, openings, expiresSec, protect } = plan;
    super("hive:index:Vps", name, { kind: args.kind, size, offer, tags, openings, expiresSec, protect }, opts);
    // In the preview too: it is known before anything is made.
    void pulumi.log.info(plan.price, this);

    const parts = { name, hostname, plan, publicKey, peers, parent: this };
    const made =
      place.provider === "proxmox" ? proxmoxServer({ ...parts, place }) : lightsailServer({ ...parts, place });
    this.machine = made.machine;
    this.ready = made.ready;
    this.address = made.address;
    this.serverId = made.serverId;
    this.life = made.life;
    this.witnessedKey = made.witnessedKey ?? pulumi.output("");
    this.container = made.container ?? "";
    this.user = loginOf(place);
    this.centsPerMonth = pulumi.output(offer.centsPerMonth);
    this.centsPerHour = pulumi.output(offer.centsPerHour);
    this.vcpus = offer.vcpus;
    this.ramMiB = offer.ramMiB;
    const { address, serverId, centsPerMonth, centsPerHour } = this;
    // Policies of the stack see what a component registers here, not what it was given.
    const facts = { kind: args.kind, size, offer, openings, committedCents: committedOf(args.budget) };
    this.registerOutputs({ ...facts, address, serverId, centsPerMonth, centsPerHour });
  }
}
