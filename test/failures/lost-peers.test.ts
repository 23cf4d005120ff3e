import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { HttpRig } from '../../src/http/http-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { Kiln } from '../rig/kiln.ts';
import { project } from '../rig/project.ts';
import { mustRun, runProgram } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { whatIsLeft } from './what-is-left.ts';

test('a context that is deleted while it is read: which file', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ root: work.at('root') });
  const files = Object.fromEntries(
    Array.from({ length: 3000 }, (_, index) => [`files/${index}`, Buffer.alloc(20_000, `${index}`)]),
  );
  const context = work.tree({ Dockerfile: 'FROM base\nCOPY files /files\n', ...files });
  const build = kiln.start(context);
  await build.said('transferring context');
  rmSync(context, { recursive: true });
  const { code, stderr } = await build.finished;
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    /error: .*cannot get the local directory "context": nothing was sent of files\/\d+, a file of 20000 bytes/,
  );
  assert.equal(stderr.match(/^error: /gm)?.length, 1, stderr);
  assert.deepEqual(whatIsLeft(work.at('root')), []);
});

/** A registry that begins well, and closes the connection as soon as a layer is on its way. */
function dyingRegistry(): Promise<HttpRig> {
  return HttpRig.start({
    otherwise(request, response) {
      if (request.url === '/v2/') response.writeHead(200).end();
      else if (request.method === 'POST') response.writeHead(202, { location: `${request.url}id` }).end();
      else if (request.method === 'PUT' || request.method === 'PATCH')
        request.once('data', () => request.socket.destroy());
      else response.writeHead(404).end();
    },
  });
}

test('a registry that dies in the middle of a push: its name, and what was built stays', async () => {
  using work = new WorkDirectory();
  await using registry = await dyingRegistry();
  const kiln = new Kiln({ root: work.at('root') });
  const context = work.tree({ Dockerfile: 'FROM base\nRUN head -c 3000000 /dev/urandom > /random\n' });
  const { code, stderr } = await kiln.failingBuild(context, [
    '-o',
    `type=image,name=${registry.host}/image,push=true`,
  ]);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`^error: .*failed to push ${registry.host}/image`, 'm'));
  assert.equal(stderr.match(/^error: /gm)?.length, 1, stderr);
  assert.deepEqual(whatIsLeft(work.at('root')), []);
  assert.deepEqual((await kiln.build(context)).events.steps('ran'), []);
});

test('a reader of the progress that goes away does not stop a build', async () => {
  using work = new WorkDirectory();
  const context = work.tree({ Dockerfile: 'FROM base\nRUN seq 1 3000; sleep 0.2; seq 1 3000\n' });
  const command = `"$0" --root "$1" build --progress plain --build-context base=oci-layout://$2:latest -o type=oci,dest="$3" "$4" 2>&1 | head -n 1`;
  const archive = work.at('image.tar');
  const { directory } = baseLayout();
  await mustRun('sh', ['-c', command, project.kiln, work.at('root'), directory, archive, context]);
  await mustRun('tar', ['-tf', archive]);
  assert.deepEqual(whatIsLeft(work.at('root')), []);
});

test('a reader of the output that goes away ends the build with an error', async () => {
  using work = new WorkDirectory();
  const context = work.tree({ Dockerfile: 'FROM base\nRUN head -c 3000000 /dev/urandom > /random\n' });
  const command = `{ "$0" --root "$1" build --progress plain --build-context base=oci-layout://$2:latest -o type=tar,dest=- "$3"; echo "code $?" >&2; } | head -c 10 > /dev/null`;
  const { directory } = baseLayout();
  const { stderr } = await runProgram('sh', [
    '-c',
    command,
    project.kiln,
    work.at('root'),
    directory,
    context,
  ]);
  assert.match(stderr, /^error: .*\n(hint: .*\n)?code 1\n$/m);
  assert.equal(stderr.match(/^error: /gm)?.length, 1, stderr);
  assert.deepEqual(whatIsLeft(work.at('root')), []);
});
