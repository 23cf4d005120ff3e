import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { ThreadPool } from '../../base/threads/thread-pool.ts';
import { checkSignature } from './check-signature.ts';
import type { SignatureQuestion } from './signature-question.ts';
import { OpenPgpSigner, SshSigner } from './signer-rig.ts';

const pool = new ThreadPool({ size: 1 });
after(() => pool[Symbol.asyncDispose]());

const check = (question: Partial<SignatureQuestion>) =>
  checkSignature(
    pool,
    {
      content: { bytes: Buffer.from('text') },
      signature: '',
      keys: '',
      rejectExpiredKeys: false,
      sshNamespace: 'git',
      ...question,
    },
    AbortSignal.timeout(30_000),
  );
const refuses = (question: Partial<SignatureQuestion>, message: RegExp) =>
  assert.rejects(check(question), { code: 'failed_precondition', message });

describe('a signature of OpenPGP', () => {
  test('counts when one of the keys made it over these bytes, or those of a file', async () => {
    using signer = await OpenPgpSigner.create();
    using other = await OpenPgpSigner.create({ algorithm: 'rsa2048' });
    const keys = `${other.publicKey}\n${signer.publicKey}`;
    for (const each of [signer, other]) await check({ signature: await each.sign('text'), keys });
    const signature = await signer.sign('text');
    const directory = mkdtempSync(path.join(tmpdir(), 'kiln-signed-'));
    const file = path.join(directory, 'file');
    writeFileSync(file, 'text');
    await check({ content: { file }, signature, keys });
    writeFileSync(file, 'other');
    await refuses({ content: { file }, signature, keys }, /signature by [0-9A-F]{16}/);
    rmSync(directory, { recursive: true });
    await refuses({ signature, keys: other.publicKey }, /failed to verify pgp signature: signature by/);
    await refuses({ signature, keys: '' }, /no armored data found/);
    await refuses({ signature: signature.replace(/^[A-Za-z0-9+/]{8}/m, 'AAAAAAAA'), keys }, /failed to/);
  });

  test('is refused when its hash is weak, or its key too short', async () => {
    using signer = await OpenPgpSigner.create({ algorithm: 'rsa1024' });
    const signature = await signer.sign('text');
    await refuses({ signature, keys: signer.publicKey }, /failed to verify pgp signature/);
    using other = await OpenPgpSigner.create({ algorithm: 'rsa2048' });
    const weak = await other.sign('text', ['--digest-algo', 'SHA1']);
    await refuses({ signature: weak, keys: other.publicKey }, /rejecting weak\/unknown hash/);
  });

  test('counts though its key has expired since, unless that is not wanted', async () => {
    const at = '20240101T000000';
    using signer = await OpenPgpSigner.create({ expires: '1d', at });
    const signature = await signer.sign('text', ['--faked-system-time', '20240101T010000']);
    const question = { signature, keys: signer.publicKey };
    await check(question);
    await refuses({ ...question, rejectExpiredKeys: true }, /expired/);
    const ahead = await signer.sign('text', ['--faked-system-time', '20240101T020000']);
    await check({ ...question, signature: ahead });
  });

  test('does not count when its key was revoked, or when it comes from the future', async () => {
    using signer = await OpenPgpSigner.create();
    const signature = await signer.sign('text');
    const ahead = await signer.sign('text', ['--faked-system-time', '20990101T000000']);
    await refuses({ signature: ahead, keys: signer.publicKey }, /in the future/);
    await check({ signature, keys: signer.publicKey });
    const before = signer.publicKey;
    await signer.revoke();
    const after = signer.publicKey;
    for (const keys of [after, `${before}\n${after}`, `${after}\n${before}`]) {
      await refuses({ signature, keys }, /revoked/);
    }
  });

  test('of a subkey counts though the subkey has expired since, unless that is not wanted', async () => {
    using signer = await OpenPgpSigner.create({ at: '20240101T000000' });
    await signer.addSubkey('1d', '20240101T000100');
    const signature = await signer.sign('text', ['--faked-system-time', '20240101T010000']);
    const question = { signature, keys: signer.publicKey };
    await check(question);
    await refuses({ ...question, rejectExpiredKeys: true }, /Subkey is expired/);
  });

  test('is refused, and nothing else, whatever byte of it is another', async () => {
    using signer = await OpenPgpSigner.create();
    const { armor, enums, unarmor } = await import('openpgp');
    const { data } = await unarmor(await signer.sign('text'));
    const keys = signer.publicKey;
    // What follows the part that is signed says only who made it.
    const signed = 6 + data[6]! * 256 + data[7]! + 2;
    for (let at = 0; at < signed; at++) {
      const damaged = Uint8Array.from(data as Uint8Array);
      damaged[at]! ^= 0x40;
      await refuses(
        { signature: armor(enums.armor.signature, damaged), keys },
        /pgp signature|signature format/,
      );
    }
    const otherType = Uint8Array.from(data as Uint8Array);
    otherType[3] = 0x7f;
    await refuses({ signature: armor(enums.armor.signature, otherType), keys }, /signature of type 127/);
  });
});

describe('a signature of SSH', () => {
  test('counts when one of the keys made it for this purpose, whatever the kind of key', async () => {
    for (const options of [
      ['-t', 'ed25519'],
      ['-t', 'rsa', '-b', '2048'],
      ['-t', 'ecdsa', '-b', '256'],
      ['-t', 'ecdsa', '-b', '384'],
      ['-t', 'ecdsa', '-b', '521'],
    ]) {
      using signer = await SshSigner.create(options);
      const keys = `# trusted\n${signer.publicKey}`;
      await check({ signature: await signer.sign('text', 'git'), keys });
      const by256 = await signer.sign('text', 'git', ['-O', 'hashalg=sha256']);
      await check({ signature: by256, keys });
      await refuses({ signature: await signer.sign('other', 'git'), keys }, /it does not match/);
      await refuses(
        { signature: await signer.sign('text', 'file'), keys },
        /unexpected .* namespace: "file"/,
      );
    }
  });

  test('is refused when nobody that is trusted made it, or it is none', async () => {
    using signer = await SshSigner.create();
    using other = await SshSigner.create();
    const signature = await signer.sign('text', 'git');
    await refuses({ signature, keys: other.publicKey }, /of none of the keys/);
    await refuses({ signature, keys: 'ssh-ed25519 AAAA' }, /failed to parse ssh public key/);
    await refuses({ signature, keys: '' }, /failed to parse ssh public key/);
    const keys = signer.publicKey;
    const blob = Buffer.from(signature.split('\n').slice(1, -2).join(''), 'base64');
    const armoured = (bytes: Uint8Array) =>
      `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(bytes).toString('base64')}\n-----END SSH SIGNATURE-----\n`;
    await check({ signature: armoured(blob), keys });
    for (let length = 0; length < blob.length; length += 5) {
      await refuses(
        { signature: armoured(blob.subarray(0, length)), keys },
        /failed to verify ssh signature/,
      );
    }
    for (let at = 0; at < blob.length; at += 3) {
      const damaged = Buffer.from(blob);
      damaged[at]! ^= 0x40;
      await refuses({ signature: armoured(damaged), keys }, /SSH|ssh/);
    }
    using small = await SshSigner.create(['-t', 'rsa', '-b', '1024']);
    const weak = await small.sign('text', 'git');
    await refuses({ signature: weak, keys: small.publicKey }, /RSA key too short: 1024 bits/);
  });
});

test('what is no signature is refused', async () => {
  await refuses({ signature: 'text' }, /invalid signature format/);
});
