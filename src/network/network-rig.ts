import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { bind, check } from '../linux/libc.ts';
import { NetworkControl, type NetworkLink } from '../linux/network/network-control.ts';
import { NetworkNamespace } from '../linux/network/network-namespace.ts';

const setns = bind('int setns(int fd, int type)');
type DnsLookup = (
  host: string,
  options: unknown,
  done: (error: null, address: string, family: number) => void,
) => void;

const networkFlag = 0x40000000;

/**
 * For tests: a network of a machine, which this process and what it starts have from then on, and one outside of it, where servers are. The machine has one
 * way out, on which it is 192.0.2.2 and the outside 192.0.2.1.
 */
export class NetworkRig implements Disposable {
  readonly machineAddress = '192.0.2.2';
  readonly outsideAddress = '192.0.2.1';
  readonly outside = NetworkNamespace.create();
  readonly #servers: { close(): unknown; closeAllConnections?(): void }[] = [];

  private constructor() {
    using machine = NetworkNamespace.create();
    const fd = openSync(machine.path, 'r');
    try {
      check(setns(fd, networkFlag), 'setns');
    } finally {
      closeSync(fd);
    }
    run('ip', 'link', 'set', 'lo', 'up');
    run('ip', 'link', 'add', 'up0', 'mtu', '1400', 'type', 'veth', 'peer', 'name', 'out0');
    run('ip', 'link', 'set', 'out0', 'netns', this.outside.path);
    run('ip', 'address', 'add', `${this.machineAddress}/24`, 'dev', 'up0');
    run('ip', 'link', 'set', 'up0', 'up');
    run('ip', 'route', 'add', 'default', 'via', this.outsideAddress);
    this.outside.run(() => {
      run('ip', 'link', 'set', 'lo', 'up');
      run('ip', 'address', 'add', `${this.outsideAddress}/24`, 'dev', 'out0');
      run('ip', 'link', 'set', 'out0', 'up');
    });
  }

  /** The main thread goes into the machine's network for good: to be called once, before anything else. */
  static enter(): NetworkRig {
    return new NetworkRig();
  }

  /** An HTTP server outside that says who asks. Returns its URL. */
  serve(): string {
    const server = createServer((request, response) =>
      response.end(`you are ${request.socket.remoteAddress}\n`),
    );
    this.#servers.push(server);
    // Without an address it listens before the call returns.
    this.outside.run(() => server.listen({ port: 0, ipv6Only: false }));
    return `http://${this.outsideAddress}:${(server.address() as AddressInfo).port}/`;
  }

  /** A DNS server that knows one name, that of the outside: there, or at a loopback address of the machine. */
  serveNames(known: string, onMachine?: string): void {
    // Without a look-up of its own it listens before the call returns.
    const lookup: DnsLookup = (host, _options, done) => done(null, host, 4);
    const socket = createSocket({ type: 'udp4', lookup: lookup as never });
    socket.on('message', (query, from) => socket.send(this.#answer(query, known), from.port, from.address));
    const listen = (address: string) => socket.bind({ port: 53, address, exclusive: true });
    if (onMachine === undefined) this.outside.run(() => listen('0.0.0.0'));
    else listen(onMachine);
    this.#servers.push(socket);
  }

  /** RFC 1035: the query's header and question, and a record if it asks for the known name's address. */
  #answer(query: Buffer, known: string): Buffer {
    const wanted = Buffer.concat(
      [...known.split('.'), ''].map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])),
    );
    const end = query.indexOf(0, 12) + 5;
    const question = query.subarray(12, end);
    const isKnown = question.subarray(0, -4).equals(wanted);
    const address = isKnown && question.readUInt16BE(question.length - 4) === 1;
    const flags = isKnown ? [0x81, 0x80] : [0x81, 0x83];
    const header = Buffer.concat([
      query.subarray(0, 2),
      Buffer.of(...flags, 0, 1, 0, address ? 1 : 0, 0, 0, 0, 0),
    ]);
    const record = Buffer.from([
      0xc0,
      12,
      0,
      1,
      0,
      1,
      0,
      0,
      0,
      60,
      0,
      4,
      ...this.outsideAddress.split('.').map(Number),
    ]);
    return Buffer.concat([header, question, ...(address ? [record] : [])]);
  }

  /** The interfaces of the machine besides those that it always has. */
  links(): readonly NetworkLink[] {
    using control = new NetworkControl();
    return control.links().filter(({ name }) => name !== 'lo' && name !== 'up0');
  }

  /** Waits until there are no more interfaces than these: the kernel removes them a moment after their namespace has ended. */
  async untilOnly(...names: readonly string[]): Promise<void> {
    await this.#until((all) => all.every((name) => names.includes(name)));
  }

  /** Waits until there are so many. */
  async untilCount(count: number): Promise<void> {
    await this.#until((all) => all.length === count);
  }

  async #until(isSo: (names: readonly string[]) => boolean): Promise<void> {
    for (const deadline = Date.now() + 60_000; ; await pause(10)) {
      const names = this.links().map(({ name }) => name);
      if (isSo(names)) return;
      if (Date.now() > deadline) throw new Error(`there are still ${names}`);
    }
  }

  /** IPv4 neighbors that the machine knows on an interface, one a line. */
  neighbors(link: string): string {
    return run('ip', '-4', 'neighbor', 'show', 'dev', link);
  }

  /** Lines of the machine's packet filter that name Kiln. */
  rules(): readonly string[] {
    return run('iptables-save')
      .split('\n')
      .filter((line) => /kiln/i.test(line));
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) {
      server.closeAllConnections?.();
      server.close();
    }
    this.outside[Symbol.dispose]();
  }
}

function run(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error ?? stderr}`);
  return stdout;
}
