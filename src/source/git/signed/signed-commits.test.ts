import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OpenPgpSigner, SshSigner } from '../../signatures/signer-rig.ts';
import { GitSourceRig, listing } from '../git-source-rig.ts';
import { signedCommit, signedTag } from './signed-object.ts';

let rig: GitSourceRig;
let openPgp: OpenPgpSigner;
let ssh: SshSigner;
const resources = new AsyncDisposableStack();

before(async () => {
  rig = resources.use(await GitSourceRig.open());
  openPgp = resources.use(await OpenPgpSigner.create());
  ssh = resources.use(await SshSigner.create());
  const byOpenPgp = ['-c', `user.signingkey=${openPgp.fingerprint}`];
  const bySsh = ['-c', 'gpg.format=ssh', '-c', `user.signingkey=${ssh.keyFile}`];
  const { repository } = rig;
  repository.environment.GNUPGHOME = openPgp.home;
  repository.commit({ a: 'unsigned' });
  repository.git('branch', 'unsigned');
  repository.git('tag', '--annotate', '--message=x', 'plain');
  const commit = (options: readonly string[], branch: string) => {
    repository.git(
      ...options,
      'commit',
      '--quiet',
      '--allow-empty',
      '-S',
      '--message=signed\n\ngpgsig none\n',
    );
    repository.git('branch', branch);
  };
  commit(byOpenPgp, 'by-openpgp');
  repository.git(...bySsh, 'tag', '-s', '--message=tagged', 'tag-by-ssh');
  repository.git('tag', '--annotate', '--message=x', 'unsigned-tag');
  commit(bySsh, 'by-ssh');
});

after(() => resources.disposeAsync());

const accepts = async (ref: string, keys: string, more = {}) => {
  const files = listing(await rig.snapshot(`app.git#${ref}`, { 'git.sig.pubkey': keys, ...more }));
  assert.deepEqual(files, { a: '644 unsigned' });
};
const refuses = (ref: string, keys: string, message: RegExp, more = {}) =>
  assert.rejects(rig.key(`app.git#${ref}`, { 'git.sig.pubkey': keys, ...more }), {
    code: 'failed_precondition',
    message,
  });

test('a commit has to be signed by the key that is given', async () => {
  await accepts('by-openpgp', openPgp.publicKey);
  await accepts('by-ssh', ssh.publicKey);
  await refuses('by-openpgp', ssh.publicKey, /failed to verify pgp signature/);
  await refuses('by-ssh', openPgp.publicKey, /failed to verify ssh signature/);
  await refuses('unsigned', openPgp.publicKey, /app\.git: git object is not signed/);
  await refuses('by-openpgp', '', /no armored data found/);
});

test('of a tag, its own signature counts, or that of its commit, as it is asked for', async () => {
  await accepts('tag-by-ssh', ssh.publicKey);
  await accepts('tag-by-ssh', openPgp.publicKey);
  await accepts('unsigned-tag', openPgp.publicKey);
  const required = { 'git.sig.requiresignedtag': 'true' };
  await accepts('tag-by-ssh', ssh.publicKey, required);
  await refuses('tag-by-ssh', openPgp.publicKey, /failed to verify ssh signature/, required);
  await refuses('unsigned-tag', openPgp.publicKey, /git object is not signed/, required);
  await refuses('by-openpgp', openPgp.publicKey, /signed tag required but no signed tag found/, required);
  await refuses('tag-by-ssh', ssh.publicKey, /pgp signature/, { 'git.sig.ignoresignedtag': 'true' });
  await refuses('plain', openPgp.publicKey, /git object is not signed/);
});

test('whoever asks about a source that has to be signed learns of it only if it is', async () => {
  const resolve = (ref: string) =>
    rig.source.resolveCommit(
      rig.opOf(`app.git#${ref}`, { 'git.sig.pubkey': openPgp.publicKey }),
      { withObjects: false },
      rig.context(),
    );
  const { object, commitObject } = await resolve('by-openpgp');
  assert.deepEqual([object.length, commitObject], [40, undefined]);
  await assert.rejects(resolve('by-ssh'), /failed to verify ssh signature/);
});

test('an object is taken apart as git does it, and has to be the one that was named', () => {
  const { repository } = rig;
  const name = repository.git('rev-parse', 'by-openpgp');
  const bytes = Buffer.from(`${repository.git('cat-file', 'commit', name)}\n`);
  const { payload, signature } = signedCommit(name, bytes)!;
  assert.match(signature, /^-----BEGIN PGP SIGNATURE-----\n[^ ]/);
  assert.match(Buffer.from(payload).toString(), /\n\nsigned\n\ngpgsig none\n$/);
  assert.throws(() => signedCommit(name, Buffer.concat([bytes, Buffer.from('x')])), /checksum mismatch/);
  assert.throws(() => signedTag(name, bytes), /checksum mismatch/);
});
