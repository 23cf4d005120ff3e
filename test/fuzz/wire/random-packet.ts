import type { Random } from '../../../src/base/testing/random.ts';
import { toByteString } from '../../../src/base/text/byte-string.ts';
import { type Packet, PacketEncoder } from '../../../src/file-sync/protocol/packet.ts';
import { hostileTexts, mutateMessage } from './mutate-message.ts';

const names = ['a', 'b', 'dir', 'dir/a', 'dir/link', 'z', '../out', '/abs'];
const modes = [0o644, 0x8000_01ed, 0x0800_01ff, 0x0200_01a4, 0x0100_01a4, 0x0008_01a4, 2 ** 33];
const encoder = new PacketEncoder();

/** Packets of file sync in some order, some of them damaged. */
export function randomPackets(random: Random): readonly Buffer[] {
  const packets = Array.from({ length: 1 + random.below(8) }, () => encoder.encode(randomPacket(random)));
  packets.push(encoder.encode({ kind: 'stat', stat: undefined }), encoder.encode({ kind: 'fin' }));
  return packets.map((packet) => (random.chance(0.2) ? mutateMessage(random, packet) : packet));
}

function randomPacket(random: Random): Packet {
  const text = () => toByteString(random.pick([...names, ...hostileTexts]).toWellFormed());
  switch (random.below(8)) {
    case 0:
      return { kind: 'request', id: random.pick([0, 1, 5, 2 ** 40]) };
    case 1:
      return { kind: 'data', id: random.below(4), data: Buffer.from(text()) };
    case 2:
      return { kind: 'error', message: text() };
    default: {
      const stat = {
        path: random.chance(0.8) ? random.pick(names) : text(),
        mode: random.pick(modes),
        uid: random.pick([0, 1000, 2 ** 40]),
        gid: 0,
        size: random.pick([0, 4, 2 ** 50]),
        mtime: random.pick([0n, -1n, 2n ** 63n - 1n]),
        linkname: random.chance(0.5) ? '' : text(),
        devMajor: random.below(300),
        devMinor: random.below(300),
        xattrs: new Map(random.chance(0.8) ? [] : [[text(), Buffer.from(text())]]),
      };
      return { kind: 'stat', stat };
    }
  }
}
