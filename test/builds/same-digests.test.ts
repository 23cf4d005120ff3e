import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseLayout } from '../rig/base-layout.ts';
import { buildctlClients } from '../rig/clients.ts';
import { Daemon } from '../rig/daemon.ts';
import { describeTree } from '../rig/file-tree.ts';
import { Kiln } from '../rig/kiln.ts';
import { leftoversOf } from '../rig/leftovers.ts';
import { openArchive, unpackFiles } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const epoch = '1700000000';

/** Deterministic steps of every kind: new files, replaced and deleted ones, links, modes, owners. */
const dockerfile = `
FROM base AS made
WORKDIR /w
COPY src/ src/
RUN chown -R 5:6 src && chmod 4711 src/a && ln -s a src/l && ln src/a src/h && mkfifo src/p
FROM base
ENV A=1
LABEL l=v
COPY --from=made --chown=9:9 /w/src/a /one
COPY --from=made /w/src /all/
COPY --chmod=0640 <<EOF /etc/conf
value=$A
EOF
RUN rm -r /all/sub /usr/sbin && mkdir -p /usr/sbin && echo new > /usr/sbin/x
USER 9
CMD ["/one"]
`;

test('kiln in process, and every client with a daemon on a socket and on TCP, make the same image', async () => {
  using work = new WorkDirectory();
  const base = baseLayout();
  const context = work.tree({
    Dockerfile: dockerfile,
    'src/a': 'a',
    'src/sub/b': { content: 'b', mode: 0o600 },
  });
  const exported = (archive: string) => `type=oci,name=same,dest=${archive},rewrite-timestamp=true`;

  const root = work.at('in-process');
  const archive = work.at('in-process.tar');
  await new Kiln({ root }).build(context, ['-o', exported(archive)], { env: { SOURCE_DATE_EPOCH: epoch } });
  assert.deepEqual(leftoversOf(root), []);
  const inProcess = await openArchive(archive, work);

  await using daemon = await Daemon.start({ args: ['--addr', 'tcp://127.0.0.1:0'] });
  await daemon.process.said('running server on tcp://');
  const tcp = /running server on (tcp:\/\/\S+)/.exec(daemon.process.stderr())?.[1];
  assert.ok(tcp, daemon.process.stderr());
  for (const client of buildctlClients()) {
    for (const address of [daemon.address, tcp]) {
      // Nothing is found in the cache: each makes the image from its steps.
      await daemon.kiln.must(['prune', '--all']);
      const file = work.at('over-socket.tar');
      await mustRun(client.program, [
        ...['--addr', address, 'build', '--frontend', 'dockerfile.v0', '--progress', 'plain'],
        ...['--local', `context=${context}`, '--local', `dockerfile=${context}`],
        ...['--oci-layout', `store=${base.directory}`],
        ...['--opt', `context:base=oci-layout://store@${base.digest}`],
        ...['--opt', `build-arg:SOURCE_DATE_EPOCH=${epoch}`],
        ...['--output', exported(file)],
      ]);
      const layout = await openArchive(file, work);
      assert.equal(layout.manifestDigest, inProcess.manifestDigest, `${client.name} on ${address}`);
    }
  }

  assert.equal(inProcess.image.created, '2023-11-14T22:13:20Z');
  const files = describeTree(await unpackFiles(inProcess, work));
  assert.match(files['all/a'] ?? '', /^file 4711 5:6 /);
  assert.match(files['etc/conf'] ?? '', /^file 0640 0:0 /);
  assert.match(files.one ?? '', /^file 4711 9:9 /);
  assert.match(files['all/p'] ?? '', /^special /);
  assert.deepEqual(
    Object.keys(files).filter((name) => /^(all\/sub|usr\/sbin)/.test(name)),
    ['usr/sbin', 'usr/sbin/x'],
  );
});
