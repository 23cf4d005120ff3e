import { errnoOf } from '../../base/errors.ts';
import {
  attribute,
  type NetlinkMessage,
  nested,
  parseAttributes,
  readText,
  readU32,
  text,
  u8,
  u16,
  u32,
} from './netlink-message.ts';
import { NetlinkSocket, requestFlags } from './netlink-socket.ts';

/** Message types (linux/rtnetlink.h). */
const types = {
  newNeighbor: 28,
  deleteNeighbor: 29,
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  newAddress: 20,
  newRoute: 24,
  getRoute: 26,
} as const;
/** Attributes of links (linux/if_link.h), addresses and routes. */
const ofLink = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  info: 18,
  families: 26,
  group: 27,
  namespaceFile: 28,
} as const;
const ofInfo = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const;
const ofAddress = { address: 1, local: 2 } as const;
const ofRoute = { destination: 1, interface: 4, gateway: 5 } as const;
const vethPeer = 1;
/** Properties of ports of bridges. */
const ofPort = { learning: 8, unicastFlood: 9, isolated: 33 } as const;
const ofNeighbor = { address: 1, hardware: 2 } as const;
/** Neighbors that do not change by what is heard of them: those of a bridge's table, and those of an interface. */
const bridgeFamily = 7;
const inTableOfMaster = 4;
const staticEntry = 0x40;
const permanentEntry = 0x80;
/** IPv6 addresses that the kernel makes up by itself, and their value for none. */
const ipv6AddressMode = 8;
const noAddresses = 1;

const ipv4 = 2;
const ipv6 = 10;
const linkUp = 1;
/** What routing tools enter: the main table, "static", everywhere, unicast. */
const mainTable = 254;
const byHand = 4;
const unicast = 1;
const linkHeader = 16;
const routeHeader = 12;

/** What there is to know of an interface. */
export interface NetworkLink {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, …; empty for hardware. */
  readonly kind: string;
  /** Its hardware address; empty if it has none. */
  readonly address: Buffer;
  readonly mtu: number;
  /** The index of the bridge that it is a port of; 0 for none. */
  readonly master: number;
}

/** An IPv4 route of the main table. */
export interface NetworkRoute {
  /** 0.0.0.0 for the default. */
  readonly destination: Buffer;
  readonly prefix: number;
  /** The index of the interface that it leads to. */
  readonly link: number;
}

/** A pair of interfaces, what goes into one coming out of the other: one here, a port of a bridge, and one in another namespace. */
export interface VethPair {
  readonly name: string;
  /** The bridge's index. */
  readonly bridge: number;
  /** A number by which several interfaces can be removed at once. */
  readonly group: number;
  readonly mtu: number;
  readonly peer: { readonly name: string; readonly address: Buffer; readonly namespaceDescriptor: number };
}

/** Interfaces, addresses and routes of the network namespace that the thread was in when this was made. Methods throw SystemErrors. */
export class NetworkControl implements Disposable {
  readonly #socket = new NetlinkSocket();

  links(): NetworkLink[] {
    const request = {
      type: types.getLink,
      flags: requestFlags.dump,
      body: linkBody(0),
      what: 'list interfaces',
    };
    return this.#socket.ask(request).map(parseLink);
  }

  link(name: string): NetworkLink | undefined {
    const body = linkBody(0, [attribute(ofLink.name, text(name))]);
    try {
      return this.#socket
        .ask({ type: types.getLink, body, what: `find the interface ${name}` })
        .map(parseLink)[0];
    } catch (error) {
      if (errnoOf(error) === 'ENODEV') return undefined;
      throw error;
    }
  }

  routes(): NetworkRoute[] {
    const body = Buffer.alloc(routeHeader);
    body[0] = ipv4;
    return this.#socket
      .ask({ type: types.getRoute, flags: requestFlags.dump, body, what: 'list routes' })
      .filter((answer) => answer.body[4] === mainTable && answer.body[7] === unicast)
      .map(parseRoute);
  }

  /** `address` is a hardware address. Throws EEXIST if there is an interface of the name. */
  makeBridge(name: string, address: Buffer, mtu: number): void {
    this.#makeLink(`make the bridge ${name}`, [
      attribute(ofLink.name, text(name)),
      attribute(ofLink.address, address),
      attribute(ofLink.mtu, u32(mtu)),
      nested(ofLink.info, [attribute(ofInfo.kind, text('bridge'))]),
    ]);
  }

  /**
   * Makes the pair, both ends down. The port is isolated: what comes in there goes to no other isolated port. Whatever comes in, what goes out is what is for the
   * peer's hardware address. Throws EEXIST if there is an interface of the name.
   */
  makePort({ name, bridge, group, mtu, peer }: VethPair): void {
    const end = linkBody(0, [
      attribute(ofLink.name, text(peer.name)),
      attribute(ofLink.address, peer.address),
      attribute(ofLink.mtu, u32(mtu)),
      attribute(ofLink.namespaceFile, u32(peer.namespaceDescriptor)),
    ]);
    this.#makeLink(`make the interface ${name}`, [
      attribute(ofLink.name, text(name)),
      attribute(ofLink.mtu, u32(mtu)),
      attribute(ofLink.master, u32(bridge)),
      attribute(ofLink.group, u32(group)),
      nested(ofLink.info, [
        attribute(ofInfo.kind, text('veth')),
        nested(ofInfo.data, [nested(vethPeer, [end])]),
      ]),
    ]);
    this.#socket.change({
      type: types.newLink,
      what: `isolate the interface ${name}`,
      body: linkBody(0, [
        attribute(ofLink.name, text(name)),
        nested(ofLink.info, [
          attribute(ofInfo.slaveKind, text('bridge')),
          nested(ofInfo.slaveData, [
            attribute(ofPort.isolated, u8(1)),
            attribute(ofPort.learning, u8(0)),
            attribute(ofPort.unicastFlood, u8(0)),
          ]),
        ]),
      ]),
    });
    const { index } = this.link(name)!;
    this.#socket.change({
      type: types.newNeighbor,
      flags: requestFlags.create | requestFlags.replace,
      what: `enter the address of ${name} into the table of its bridge`,
      body: Buffer.concat([
        neighborBody(bridgeFamily, index, staticEntry, inTableOfMaster),
        attribute(ofNeighbor.hardware, peer.address),
      ]),
    });
  }

  setUp(name: string): void {
    this.#socket.change({
      type: types.newLink,
      what: `set the interface ${name} up`,
      body: linkBody(linkUp, [attribute(ofLink.name, text(name))]),
    });
  }

  /** Keeps the kernel from giving an interface that is down IPv6 addresses once it is up. */
  refuseIpv6Addresses(name: string): void {
    const families = nested(ofLink.families, [nested(ipv6, [attribute(ipv6AddressMode, u8(noAddresses))])]);
    const body = linkBody(0, [attribute(ofLink.name, text(name)), families]);
    try {
      this.#socket.change({ type: types.newLink, body, what: `refuse IPv6 addresses for ${name}` });
    } catch (error) {
      // There is no IPv6 on this machine.
      if (!['EAFNOSUPPORT', 'EOPNOTSUPP'].includes(errnoOf(error) ?? '')) throw error;
    }
  }

  /** Gives an interface an IPv4 address, if it has it not yet. */
  addAddress(link: number, address: Buffer, prefix: number): void {
    const header = Buffer.concat([Buffer.of(ipv4, prefix, 0, 0), u32(link)]);
    const body = Buffer.concat([
      header,
      attribute(ofAddress.local, address),
      attribute(ofAddress.address, address),
    ]);
    unlessThere(() =>
      this.#socket.change({
        type: types.newAddress,
        flags: made,
        body,
        what: 'give an interface its address',
      }),
    );
  }

  /** Lets the machine know where an IPv4 address is, whatever it hears. What it has heard so far is forgotten. */
  addNeighbor(link: number, address: Buffer, hardware: Buffer): void {
    this.#socket.change({
      type: types.newNeighbor,
      flags: requestFlags.create | requestFlags.replace,
      what: 'enter a neighbor',
      body: Buffer.concat([
        neighborBody(ipv4, link, permanentEntry),
        attribute(ofNeighbor.address, address),
        attribute(ofNeighbor.hardware, hardware),
      ]),
    });
  }

  /** No error if there is none, or no such interface. */
  removeNeighbor(link: number, address: Buffer): void {
    const body = Buffer.concat([neighborBody(ipv4, link, 0), attribute(ofNeighbor.address, address)]);
    try {
      this.#socket.change({ type: types.deleteNeighbor, body, what: 'remove a neighbor' });
    } catch (error) {
      if (!['ENOENT', 'ENODEV', 'ENXIO'].includes(errnoOf(error) ?? '')) throw error;
    }
  }

  addDefaultRoute(link: number, gateway: Buffer): void {
    const header = Buffer.of(ipv4, 0, 0, 0, mainTable, byHand, 0, unicast, 0, 0, 0, 0);
    const body = Buffer.concat([
      header,
      attribute(ofRoute.gateway, gateway),
      attribute(ofRoute.interface, u32(link)),
    ]);
    this.#socket.change({ type: types.newRoute, flags: made, body, what: 'enter the default route' });
  }

  /** No error if there is none of the name. */
  remove(name: string): void {
    const body = linkBody(0, [attribute(ofLink.name, text(name))]);
    try {
      this.#socket.change({ type: types.deleteLink, body, what: `remove the interface ${name}` });
    } catch (error) {
      if (errnoOf(error) !== 'ENODEV') throw error;
    }
  }

  /** All interfaces of a group. */
  removeGroup(group: number): void {
    const body = linkBody(0, [attribute(ofLink.group, u32(group))]);
    try {
      this.#socket.change({ type: types.deleteLink, body, what: 'remove interfaces' });
    } catch (error) {
      if (errnoOf(error) !== 'ENODEV') throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #makeLink(what: string, attributes: readonly Buffer[]): void {
    this.#socket.change({ type: types.newLink, flags: made, body: linkBody(0, attributes), what });
  }
}

const made = requestFlags.create | requestFlags.exclusive;

/** `struct ndmsg`. */
function neighborBody(family: number, link: number, state: number, flags = 0): Buffer {
  return Buffer.concat([Buffer.of(family, 0, 0, 0), u32(link), u16(state), Buffer.of(flags, 0)]);
}

/** `struct ifinfomsg`, with its attributes. What is not among `flags` stays as it is. */
function linkBody(flags: number, attributes: readonly Buffer[] = []): Buffer {
  return Buffer.concat([u32(0), u32(0), u32(flags), u32(flags), ...attributes]);
}

function parseLink({ body }: NetlinkMessage): NetworkLink {
  const attributes = parseAttributes(body.subarray(linkHeader));
  const number = (type: number): number => {
    const value = attributes.get(type);
    return value ? readU32(value, 0) : 0;
  };
  const kind = parseAttributes(attributes.get(ofLink.info) ?? Buffer.alloc(0)).get(ofInfo.kind);
  return {
    index: readU32(body, 4),
    name: readText(attributes.get(ofLink.name) ?? Buffer.alloc(0)),
    kind: kind ? readText(kind) : '',
    address: attributes.get(ofLink.address) ?? Buffer.alloc(0),
    mtu: number(ofLink.mtu),
    master: number(ofLink.master),
  };
}

function parseRoute({ body }: NetlinkMessage): NetworkRoute {
  const attributes = parseAttributes(body.subarray(routeHeader));
  const link = attributes.get(ofRoute.interface);
  return {
    destination: attributes.get(ofRoute.destination) ?? Buffer.alloc(4),
    prefix: body[1] ?? 0,
    link: link ? readU32(link, 0) : 0,
  };
}

function unlessThere(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}
