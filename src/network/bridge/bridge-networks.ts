import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { abortable, throwIfAborted } from '../../base/async/lifetime.ts';
import { asKilnError, errnoOf, KilnError } from '../../base/errors.ts';
import { NetworkControl } from '../../linux/network/network-control.ts';
import { NetworkNamespace } from '../../linux/network/network-namespace.ts';
import { NetworkPool } from '../network-pool.ts';
import type { NetworkRequest, StepNetwork, StepNetworks } from '../step-networks.ts';
import { type BridgeRules, findBridgeRules } from './bridge-rules.ts';
import { addressBytes, Ipv4Subnet, toNumber } from './ipv4-subnet.ts';

export interface BridgeOptions {
  /** Where what was set up is noted; nobody else's. */
  readonly directory: string;
  /** The bridge's name. */
  readonly name: string;
  /** Where steps get their addresses from, as text. */
  readonly subnet: string;
  readonly poolSize: number;
  /** By default what the machine has. */
  readonly rules?: BridgeRules;
  readonly onProblem: (message: string) => void;
}

/** How the hardware addresses of bridges begin that Kiln makes: nobody assigns such addresses (the second bit), and the rest spells its name. */
const bridgeMark = Buffer.from('0a6b696c6e', 'hex');
/** How those of steps begin; their IPv4 address follows. */
const stepMark = Buffer.from('0a6b', 'hex');
const defaultMtu = 1500;
/** Milliseconds that the kernel may take to remove a port, and between looks. */
const removalTime = 5_000;
const removalInterval = 10;
const forwardingFile = '/proc/sys/net/ipv4/ip_forward';

/**
 * Networks behind a bridge on this machine: each step has a pair of interfaces, one in its namespace and one that is a port of the bridge. The kernel's own state is all the
 * state there is: the name of the port says which address is taken, and no two ports have one name, whoever makes them. So an address is free again
 * exactly when its port is gone, which the kernel sees to when the namespace ends, and several daemons can share a bridge.
 */
export class BridgeNetworks implements StepNetworks {
  readonly #options: BridgeOptions;
  readonly #subnet: Ipv4Subnet;
  readonly #control: NetworkControl;
  readonly #pool: NetworkPool;
  /** Whose ports and rules these are. */
  readonly #owner: Owner;
  #mtu = defaultMtu;
  #next = 0;
  /** When a network last ended: the kernel removes its port, which has its address, some time later. */
  #lastEnd = Number.NEGATIVE_INFINITY;

  private constructor(options: BridgeOptions, subnet: Ipv4Subnet) {
    this.#options = options;
    this.#subnet = subnet;
    this.#owner = ownerOf(options.directory);
    this.#control = new NetworkControl();
    this.#pool = new NetworkPool({
      size: Math.min(options.poolSize, subnet.size),
      make: async () => this.#make(),
      onProblem: (error) => options.onProblem(`cannot make a network for a step: ${error}`),
    });
  }

  /** Sets up bridge, forwarding and NAT. Throws `failed_precondition` when the machine, or what is on it, does not allow it. */
  static async open(options: BridgeOptions): Promise<BridgeNetworks> {
    const subnet = Ipv4Subnet.parse(options.subnet, 'bridgeSubnet');
    const rules = options.rules ?? (await findBridgeRules());
    const networks = new BridgeNetworks(options, subnet);
    try {
      networks.#mtu = networks.#outsideMtu();
      noteBridge(options.directory, options.name);
      networks.#ensureBridge();
      await rules.install({ id: networks.#owner.id, bridge: options.name, subnet });
      forward();
      networks.#pool.fill();
      return networks;
    } catch (error) {
      await networks[Symbol.asyncDispose]().catch((also) =>
        options.onProblem(`cannot take back the bridge ${options.name}: ${also}`),
      );
      throw cannotSetUp(options.name, error);
    }
  }

  async take({ signal }: NetworkRequest): Promise<StepNetwork> {
    throwIfAborted(signal);
    const ready = this.#pool.take();
    if (ready) return ready;
    for (;;) {
      try {
        return this.#make();
      } catch (error) {
        const isPassing = performance.now() - this.#lastEnd < removalTime;
        if (!isPassing || asKilnError(error).code !== 'resource_exhausted') throw error;
      }
      await abortable(pause(removalInterval), signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
    this.#control[Symbol.dispose]();
    await removeBridge(this.#options);
  }

  #make(): StepNetwork {
    const namespace = NetworkNamespace.create();
    try {
      const { bridge, address } = this.#addPort(namespace);
      using inside = namespace.run(() => new NetworkControl());
      inside.setUp('lo');
      inside.refuseIpv6Addresses('eth0');
      inside.setUp('eth0');
      const { index } = inside.link('eth0')!;
      inside.addAddress(index, addressBytes(address), this.#subnet.prefix);
      inside.addDefaultRoute(index, addressBytes(this.#subnet.gateway));
      // Else steps could say that they have the address of another.
      this.#control.addNeighbor(bridge, addressBytes(address), hardwareAddress(address));
      return {
        namespace,
        [Symbol.asyncDispose]: async () => {
          // As long as its port is there nobody else has the address.
          this.#control.removeNeighbor(bridge, addressBytes(address));
          namespace[Symbol.dispose]();
          this.#lastEnd = performance.now();
        },
      };
    } catch (error) {
      namespace[Symbol.dispose]();
      throw error;
    }
  }

  /** Gives the namespace an interface `eth0`, of which the other end is a port of the bridge. Returns the address that it has to have, and the bridge's index. */
  #addPort(namespace: NetworkNamespace): { readonly bridge: number; readonly address: number } {
    const bridge = this.#ensureBridge();
    for (let tried = 0; tried < this.#subnet.size; tried++) {
      const address = this.#subnet.at(this.#next);
      this.#next = (this.#next + 1) % this.#subnet.size;
      const name = portName(address);
      try {
        this.#control.makePort({
          name,
          bridge,
          group: this.#owner.group,
          mtu: this.#mtu,
          peer: {
            name: 'eth0',
            address: hardwareAddress(address),
            namespaceDescriptor: namespace.descriptor,
          },
        });
        this.#control.refuseIpv6Addresses(name);
        this.#control.setUp(name);
        return { bridge, address };
      } catch (error) {
        // Somebody else's, or that of a step whose namespace the kernel has not yet ended.
        if (errnoOf(error) !== 'EEXIST') throw error;
      }
    }
    throw new KilnError(
      'resource_exhausted',
      `${this.#subnet} has no address left for a step: all ${this.#subnet.size} are in use`,
      { hint: 'let fewer steps run at once (--oci-max-parallelism), or set a larger bridgeSubnet' },
    );
  }

  /** The bridge's index. It is made if it is not there: another daemon, in which nothing ran, may have removed it. */
  #ensureBridge(): number {
    const { name } = this.#options;
    const existing = this.#control.link(name);
    if (existing) {
      if (isOurs(existing)) return existing.index;
      throw new KilnError(
        'failed_precondition',
        `${name} exists on this machine, and is no bridge of Kiln's`,
        {
          hint: 'set another name as worker.oci.bridgeName, and another subnet as worker.oci.bridgeSubnet',
        },
      );
    }
    this.#refuseOverlap();
    this.#control.makeBridge(name, Buffer.concat([bridgeMark, Buffer.of(0)]), this.#mtu);
    this.#control.refuseIpv6Addresses(name);
    this.#control.setUp(name);
    const { index } = this.#control.link(name)!;
    this.#control.addAddress(index, addressBytes(this.#subnet.gateway), this.#subnet.prefix);
    return index;
  }

  /** The machine would lose its way to a network of which the bridge has the addresses. */
  #refuseOverlap(): void {
    for (const { destination, prefix, link } of this.#control.routes()) {
      const network = new Ipv4Subnet(toNumber(destination), prefix);
      if (prefix === 0 || !network.overlaps(this.#subnet)) continue;
      const name = this.#control.links().find(({ index }) => index === link)?.name ?? `interface ${link}`;
      throw new KilnError(
        'failed_precondition',
        `the subnet of steps, ${this.#subnet}, overlaps ${network}, which this machine reaches by ${name}`,
        { hint: 'set a subnet that nobody uses as worker.oci.bridgeSubnet' },
      );
    }
  }

  /** What passes the way to the outside in one piece: steps learn of something smaller on the way only by messages that many networks drop. */
  #outsideMtu(): number {
    const ways = new Set(this.#control.routes().flatMap(({ prefix, link }) => (prefix === 0 ? [link] : [])));
    const sizes = this.#control.links().flatMap(({ index, mtu }) => (ways.has(index) ? [mtu] : []));
    return Math.min(defaultMtu, ...sizes);
  }
}

/** Removes what `BridgeNetworks` has set up on this directory, if a killed process left it. */
export async function removeLeftBridge(directory: string): Promise<void> {
  const name = notedBridge(directory);
  if (name !== undefined) await removeBridge({ directory, name });
}

async function removeBridge({
  directory,
  name,
  rules,
}: Pick<BridgeOptions, 'directory' | 'name' | 'rules'>): Promise<void> {
  const { id, group } = ownerOf(directory);
  using control = new NetworkControl();
  control.removeGroup(group);
  const bridge = control.link(name);
  const isShared = bridge && control.links().some(({ master }) => master === bridge.index);
  if (bridge && isOurs(bridge) && !isShared) control.remove(name);
  await (rules ?? (await findBridgeRules())).remove(id);
  rmSync(noteFile(directory), { force: true });
}

function cannotSetUp(name: string, error: unknown): KilnError {
  if (error instanceof KilnError) return error;
  const isForbidden = ['EPERM', 'EACCES', 'EROFS'].includes(errnoOf(error) ?? '');
  return new KilnError(
    'failed_precondition',
    `cannot set up the bridge ${name} for steps: ${(error as Error).message}`,
    {
      cause: error,
      hint: isForbidden
        ? 'run the daemon as root with the right to change networks (CAP_NET_ADMIN), or use --oci-worker-net=host'
        : undefined,
    },
  );
}

interface Owner {
  readonly id: string;
  /** The group of its interfaces. */
  readonly group: number;
}

function ownerOf(directory: string): Owner {
  const hash = createHash('sha256').update(directory).digest();
  // Small groups are those that people use.
  return { id: hash.toString('hex', 0, 4), group: (hash.readUInt32BE(0) | 0x40000000) & 0x7fffffff };
}

function hardwareAddress(address: number): Buffer {
  return Buffer.concat([stepMark, addressBytes(address)]);
}

function portName(address: number): string {
  return `kiln${addressBytes(address).toString('hex')}`;
}

function isOurs({ kind, address }: { readonly kind: string; readonly address: Buffer }): boolean {
  return kind === 'bridge' && address.subarray(0, bridgeMark.length).equals(bridgeMark);
}

function noteFile(directory: string): string {
  return path.join(directory, 'bridge');
}

/** Written before the bridge is made, and removed after it. */
function noteBridge(directory: string, name: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(noteFile(directory), name, { mode: 0o600 });
}

function notedBridge(directory: string): string | undefined {
  try {
    return readFileSync(noteFile(directory), 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Lets the machine pass on packets. It stays that way: whoever else relies on it by then would be cut off. */
function forward(): void {
  if (readFileSync(forwardingFile, 'utf8').trim() !== '1') writeFileSync(forwardingFile, '1');
}
