import path from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { callProgram } from '../../linux/process/call-program.ts';
import { findProgram } from '../../linux/process/find-program.ts';
import type { Ipv4Subnet } from './ipv4-subnet.ts';

/** What the packet filter is to do for the steps behind a bridge. */
export interface BridgeTraffic {
  /** Names the rules: those of one id are made and removed together. `[0-9a-f]{8}`. */
  readonly id: string;
  readonly bridge: string;
  readonly subnet: Ipv4Subnet;
}

/**
 * The rules of the packet filter that let the steps behind a bridge out, with the machine's address, and nobody in: neither others nor, by way of the
 * machine, each other.
 */
export interface BridgeRules {
  /** Puts the rules in place of those of the same id. Throws `failed_precondition`. */
  install(traffic: BridgeTraffic): Promise<void>;
  /** No error when there are none. */
  remove(id: string): Promise<void>;
}

const multicast = '224.0.0.0/4';
const patience = 30_000;
/** Machines with many containers have tens of thousands of rules. */
const mostOutput = 64 * 1024 * 1024;
/** Seconds that iptables waits for another that is at work. */
const lockWait = '10';

/**
 * By `iptables` where it is installed, else by `nft`. Where there is Docker, its rules drop what no rule of iptables lets through, whatever other tables
 * of nftables say. Throws `failed_precondition`, naming the packages, when there is neither.
 */
export async function findBridgeRules(): Promise<BridgeRules> {
  const rules = (await bridgeRulesBy('iptables')) ?? (await bridgeRulesBy('nft'));
  if (rules) return rules;
  throw new KilnError(
    'failed_precondition',
    'a bridge for steps needs iptables or nft, and neither is installed',
    {
      hint: 'install one (apt-get install nftables), or use --oci-worker-net=host',
    },
  );
}

/** Undefined when the program is not installed. */
export async function bridgeRulesBy(name: 'iptables' | 'nft'): Promise<BridgeRules | undefined> {
  const program = await findProgram(name);
  if (program === undefined) return undefined;
  return name === 'iptables' ? new IptablesRules(program) : new NftRules(program);
}

class IptablesRules implements BridgeRules {
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  async install({ id, bridge, subnet }: BridgeTraffic): Promise<void> {
    await this.remove(id);
    const chain = chainOf(id);
    await this.#restore([
      '*filter',
      `:${chain} - [0:0]`,
      `-A ${chain} -i ${bridge} -o ${bridge} -j DROP`,
      `-A ${chain} -i ${bridge} ! -s ${subnet} -j DROP`,
      `-A ${chain} -i ${bridge} -j ACCEPT`,
      `-A ${chain} -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
      `-A ${chain} -o ${bridge} -j DROP`,
      `-I FORWARD 1 -j ${chain}`,
      'COMMIT',
      '*nat',
      `:${chain} - [0:0]`,
      `-A ${chain} -d ${subnet} -j RETURN`,
      `-A ${chain} -d ${multicast} -j RETURN`,
      `-A ${chain} -j MASQUERADE`,
      `-A POSTROUTING -s ${subnet} -j ${chain}`,
      'COMMIT',
    ]);
  }

  async remove(id: string): Promise<void> {
    const chain = chainOf(id);
    for (const table of ['filter', 'nat']) {
      const rules = (await run(this.#program, ['-w', lockWait, '-t', table, '-S'])).split('\n');
      if (!rules.includes(`-N ${chain}`)) continue;
      const jumps = rules.filter((rule) => rule.startsWith('-A ') && rule.endsWith(` -j ${chain}`));
      await this.#restore([
        `*${table}`,
        ...jumps.map((rule) => `-D ${rule.slice('-A '.length)}`),
        `-F ${chain}`,
        `-X ${chain}`,
        'COMMIT',
      ]);
    }
  }

  /** All of it or nothing, table by table. */
  async #restore(lines: readonly string[]): Promise<void> {
    const program = path.join(path.dirname(this.#program), 'iptables-restore');
    await run(program, ['-w', lockWait, '--noflush'], `${lines.join('\n')}\n`);
  }
}

class NftRules implements BridgeRules {
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  async install({ id, bridge, subnet }: BridgeTraffic): Promise<void> {
    await this.#run([
      ...withoutTable(id),
      `table ip ${tableOf(id)} {`,
      'chain forward {',
      'type filter hook forward priority 0; policy accept;',
      `iifname "${bridge}" oifname "${bridge}" drop`,
      `iifname "${bridge}" ip saddr != ${subnet} drop`,
      `oifname "${bridge}" ct state established,related accept`,
      `oifname "${bridge}" drop`,
      '}',
      'chain postrouting {',
      'type nat hook postrouting priority 100; policy accept;',
      `ip saddr ${subnet} ip daddr != { ${subnet}, ${multicast} } masquerade`,
      '}',
      '}',
    ]);
  }

  async remove(id: string): Promise<void> {
    await this.#run(withoutTable(id));
  }

  async #run(lines: readonly string[]): Promise<void> {
    await run(this.#program, ['-f', '-'], `${lines.join('\n')}\n`);
  }
}

/** Making a table that is there changes nothing, and deleting one that is not is an error. */
function withoutTable(id: string): string[] {
  return [`table ip ${tableOf(id)}`, `delete table ip ${tableOf(id)}`];
}

function chainOf(id: string): string {
  return `KILN-${id}`;
}

function tableOf(id: string): string {
  return `kiln_${id}`;
}

async function run(program: string, args: readonly string[], input?: string): Promise<string> {
  const { end, stdout, stderr } = await callProgram({
    program,
    args,
    input,
    mostOutput,
    milliseconds: patience,
  });
  if (end.kind === 'exited' && end.code === 0) return stdout;
  const said = stderr.trim().split('\n').at(0) || JSON.stringify(end);
  throw new KilnError(
    'failed_precondition',
    `cannot set up NAT for steps: ${path.basename(program)}: ${said}`,
    {
      hint: 'does this kernel have NAT, and is the daemon root? --oci-worker-net=host needs neither',
    },
  );
}
