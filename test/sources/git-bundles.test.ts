import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type Digest, digestHex, digestOf } from '../../src/base/digest.ts';
import { asKilnError, type KilnError } from '../../src/base/errors.ts';
import { type GitOptions, git, type State, toDefinition } from '../../src/llb/llb.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { createRegistry } from '../../src/registry/http-registry.ts';
import { anonymousAuth } from '../../src/registry/registry.ts';
import { type RegistryRig, startRegistry } from '../../src/registry/registry-rig.ts';
import { GitRepository, GitServer } from '../../src/source/git/git-rig.ts';
import { gitIn } from '../../src/source/git/git-source-rig.ts';
import { LlbEngine } from '../rig/llb-engine.ts';

let engine: LlbEngine;
let registry: RegistryRig;
let server: GitServer;
let repository: GitRepository;
let served: string;
const resources = new AsyncDisposableStack();

before(async () => {
  engine = resources.use(await LlbEngine.open());
  registry = resources.use(await startRegistry());
  served = engine.work.tree({});
  server = resources.use(await GitServer.start(served));
});

after(() => resources.disposeAsync());

let repositories = 0;
let name = '';
beforeEach(() => {
  name = `app-${++repositories}.git`;
  repository = new GitRepository(path.join(served, name));
});

const source = (options: GitOptions = {}): State => git(server.url(name), options);

/** Builds a bundle, and gives its file and digest. */
async function bundle(options: GitOptions): Promise<{ readonly file: string; readonly digest: Digest }> {
  const directory = await engine.build(source({ ...options, checkoutBundle: true }));
  assert.deepEqual(readdirSync(directory), ['bundle']);
  const file = path.join(directory, 'bundle');
  return { file, digest: digestOf(readFileSync(file)) };
}

/** Puts a file into a layout, and gives what a build needs to take it from there. */
function inLayout(file: string) {
  const data = readFileSync(file);
  const digest = digestOf(data);
  const layout = engine.work.tree({});
  mkdirSync(path.join(layout, 'blobs/sha256'), { recursive: true });
  writeFileSync(path.join(layout, 'blobs/sha256', digestHex(digest)), data);
  return { bundle: `oci-layout+blob://store@${digest}`, layouts: new Map([['store', layout]]) };
}

async function failure(work: Promise<unknown>): Promise<KilnError> {
  return await work.then(
    () => assert.fail('it was built'),
    (reason: unknown) => asKilnError(reason),
  );
}

describe('a checkout as a bundle', () => {
  test('is one file with the whole history of the ref that was named, and the same file each time', async () => {
    repository.commit({ a: '1' });
    const commit = repository.commit({ a: '2' });
    repository.git('tag', '--annotate', '--message=x', 'v1');
    const tag = repository.git('rev-parse', 'v1');
    for (const [ref, name, object] of [
      ['main', 'refs/heads/main', commit],
      ['', 'refs/heads/main', commit],
      [commit, 'refs/heads/main', commit],
      ['v1', 'refs/tags/v1', tag],
    ] as const) {
      const made = await bundle({ ref });
      assert.equal(gitIn('/', 'ls-remote', made.file), `${object}\t${name}`, ref);
      const clone = engine.work.tree({});
      gitIn(clone, 'init', '--quiet', '--bare');
      gitIn(clone, 'fetch', '--quiet', made.file, '+refs/*:refs/*');
      assert.equal(gitIn(clone, 'rev-list', '--count', name), '2');
    }
    const other = await LlbEngine.open();
    await using _ = other;
    const again = await other.build(source({ ref: 'main', checkoutBundle: true }));
    assert.equal(digestOf(readFileSync(path.join(again, 'bundle'))), (await bundle({ ref: 'main' })).digest);
  });

  test('is refused with a directory, or with the files of a repository', async () => {
    repository.commit({ 'd/a': '1' });
    for (const [options, key] of [
      [{ subdir: 'd' }, 'subdir'],
      [{ keepGitDir: true }, 'keepgitdir'],
    ] as const) {
      const { code, message } = await failure(engine.build(source({ ...options, checkoutBundle: true })));
      assert.equal(code, 'invalid_argument');
      assert.match(message, new RegExp(`git.checkoutbundle is incompatible with git.${key}`));
    }
  });
});

describe('a bundle instead of a remote', () => {
  test('gives the commit of a layout, by its name and by a ref, though the remote is gone', async () => {
    repository.commit({ a: 'old' });
    const checksum = repository.commit({ a: 'text', 'd/b': 'deep' });
    const from = inLayout((await bundle({ ref: 'main' })).file);
    server.requests.length = 0;
    for (const options of [{ ref: checksum }, { ref: 'main' }, {}, { ref: 'main', subdir: 'd' }]) {
      const { bundle, layouts } = from;
      const out = await engine.build(source({ ...options, checksum, bundle }), { layouts });
      if ('subdir' in options) assert.deepEqual(readdirSync(out), ['b']);
      else assert.equal(readFileSync(path.join(out, 'a'), 'utf8'), 'text');
    }
    assert.deepEqual(server.requests, []);
  });

  test('gives a repository with the ref, and nothing of where it was unpacked', async () => {
    const checksum = repository.commit({ a: 'text' });
    const { bundle: locator, layouts } = inLayout((await bundle({ ref: 'main' })).file);
    const options = { ref: 'main', checksum, bundle: locator, keepGitDir: true };
    const out = await engine.build(source(options), { layouts });
    assert.equal(gitIn(out, 'rev-parse', 'refs/heads/main'), checksum);
    assert.equal(gitIn(out, 'remote', 'get-url', 'origin'), server.url(name));
    assert.ok(!existsSync(path.join(out, '.git/refs/kiln')));
    assert.doesNotMatch(gitIn(out, 'config', '--list'), /file:/);
  });

  test('gives the files that the commit names, whatever its refs put in the place of an object', async () => {
    const hostile = repository.commit({ a: 'hostile' });
    const file = path.join(engine.work.tree({}), 'file');
    for (const [text, part] of [
      ['with another commit', '^{commit}'],
      ['with another tree', '^{tree}'],
    ] as const) {
      const checksum = repository.commit({ a: text });
      const object = repository.git('rev-parse', checksum + part);
      repository.git('replace', object, hostile + part);
      repository.git('bundle', 'create', '--quiet', file, '--all');
      repository.git('replace', '--delete', object);
      const { bundle: locator, layouts } = inLayout(file);
      const out = await engine.build(source({ ref: checksum, checksum, bundle: locator }), { layouts });
      assert.equal(readFileSync(path.join(out, 'a'), 'utf8'), text);
    }
  });

  test('comes from a registry, and is told in the provenance', async () => {
    const checksum = repository.commit({ a: 'text' });
    const { file, digest } = await bundle({ ref: 'main' });
    await using client = createRegistry();
    const body = { open: async () => readChunks(file) };
    const { length: size } = readFileSync(file);
    const reference = parseReference(`${registry.host}/bundles`);
    const descriptor = { mediaType: 'application/octet-stream', digest, size };
    const access = { signal: AbortSignal.timeout(30_000), auth: anonymousAuth };
    await client.pushBlob(reference, descriptor, body, access);
    const locator = `docker-image+blob://${registry.host}/bundles@${digest}`;
    const definition = toDefinition(source({ ref: 'main', checksum, bundle: locator }));
    const options = { 'attest:provenance': '' };
    const out = await engine.build(source(), { source: { kind: 'definition', definition, options } });
    assert.equal(readFileSync(path.join(out, 'a'), 'utf8'), 'text');
    const { predicate } = JSON.parse(readFileSync(path.join(out, 'provenance.json'), 'utf8'));
    const url = `${server.url(name)}#main`;
    const [host, port] = registry.host.split(':');
    assert.deepEqual(predicate.buildDefinition.resolvedDependencies, [
      { uri: url, digest: { sha1: checksum } },
      {
        uri: `pkg:docker/${host}%3A${port}/bundles@latest?ref_type=bundle&vcs_url=${encodeURIComponent(url).replaceAll('%3A', ':')}`,
        digest: { sha256: digestHex(digest) },
      },
    ]);
  });

  test('that lacks the commit, or commits below it, or is none, is refused by name', async () => {
    const first = repository.commit({ a: '1' });
    const made = await bundle({ ref: first });
    const second = repository.commit({ a: '2' });
    const lacking = inLayout(made.file);
    const without = await failure(
      engine.build(source({ ref: second, checksum: second, bundle: lacking.bundle }), lacking),
    );
    assert.match(
      without.message,
      new RegExp(`commit ${second} not found in bundle oci-layout.blob://store@`),
    );
    const other = await failure(
      engine.build(source({ ref: 'main', checksum: second, bundle: lacking.bundle }), lacking),
    );
    assert.match(other.message, new RegExp(`expected checksum to match ${second}, got ${first}`));

    const part = path.join(engine.work.tree({}), 'part');
    execFileSync('git', ['bundle', 'create', '--quiet', part, 'main', `^${first}`], {
      cwd: repository.directory,
    });
    const text = path.join(engine.work.tree({ text: 'no bundle' }), 'text');
    for (const [file, why] of [
      [part, /lacks these prerequisite commits/],
      [text, /failed to import git bundle oci-layout.blob:\/\/store@sha256/],
    ] as const) {
      const from = inLayout(file);
      const wrong = source({ ref: second, checksum: second, bundle: from.bundle });
      const { code, message } = await failure(engine.build(wrong, from));
      assert.equal(code, 'failed_precondition');
      assert.match(message, why);
    }
  });

  test('needs a checksum, and a place that blobs have', async () => {
    const digest = digestOf('x');
    for (const [options, why] of [
      [{ bundle: `oci-layout+blob://s@${digest}` }, /git.bundle requires git.checksum to be set/],
      [{ bundle: `oci-layout+blob://s@${digest}`, checksum: 'abc' }, /all digits of git.checksum/],
      [{ bundle: `https://host/x@${digest}`, checksum: 'a' }, /unsupported blob scheme "https"/],
      [{ bundle: 'oci-layout+blob://s', checksum: 'a' }, /failed to parse git.bundle locator/],
    ] as const) {
      const { code, message } = await failure(engine.build(source(options)));
      assert.equal(code, 'invalid_argument');
      assert.match(message, why);
    }
  });
});

async function* readChunks(file: string): AsyncGenerator<Uint8Array> {
  yield readFileSync(file);
}
