import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { Content } from '../../src/api/gen/content_pb.js';
import { type BuildHistoryRecord, Control, type StatusResponse } from '../../src/api/gen/control_pb.js';
import { StatusSchema } from '../../src/api/gen/rpc_status_pb.js';
import { openInProcessEngine } from '../../src/daemon/in-process.ts';
import { encodeDefinition, files, type State, scratch, toDefinition } from '../../src/llb/llb.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

describe('the record of a build', () => {
  /** A new engine on the same root, as after a restart. */
  async function open(work: WorkDirectory) {
    const engine = await openInProcessEngine({ root: work.at('root') });
    const control = createClient(Control, engine.transport);
    const content = createClient(Content, engine.transport);
    return {
      control,
      async solve(state: State, exporters: readonly { type: string; attrs: Record<string, string> }[] = []) {
        const ref = randomUUID();
        const definition = encodeDefinition(toDefinition(state));
        await control.solve({ ref, definition, exporters: [...exporters] }).catch(() => {});
        return ref;
      },
      async record(ref: string): Promise<BuildHistoryRecord | undefined> {
        const [event] = await Array.fromAsync(control.listenBuildHistory({ ref, earlyExit: true }));
        return event?.record;
      },
      async read(digest: string) {
        return Buffer.concat(await Array.fromAsync(content.read({ digest }), ({ data }) => data));
      },
      async blobs() {
        const listed = await Array.fromAsync(content.list({}));
        return listed.flatMap(({ info }) => info.map(({ digest }) => digest));
      },
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    };
  }

  const tree = scratch().file(files().mkfile('/file', 0o644, 'text'));
  const namesIn = (progress: readonly StatusResponse[]) =>
    progress.flatMap(({ vertexes }) => vertexes.map(({ name }) => name));

  test('keeps its progress and its images when the cache is pruned and the daemon has restarted', async () => {
    using work = new WorkDirectory();
    let ref: string;
    {
      await using daemon = await open(work);
      ref = await daemon.solve(tree, [
        { type: 'image', attrs: {} },
        { type: 'image', attrs: { 'oci-mediatypes': 'false' } },
      ]);
      await Array.fromAsync(daemon.control.prune({ all: true }));
    }
    await using daemon = await open(work);
    const progress = await Array.fromAsync(daemon.control.status({ ref }));
    assert.ok(namesIn(progress).includes('mkfile /file'));

    const record = (await daemon.record(ref))!;
    assert.equal(record.logs?.mediaType, 'application/vnd.buildkit.status.v0');
    const { results, oldResult } = record.result!;
    assert.deepEqual(
      Object.values(results).map(({ mediaType }) => mediaType),
      ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'],
    );
    assert.equal(oldResult?.digest, results['0']?.digest);
    const manifest = JSON.parse((await daemon.read(results['0']!.digest)).toString());
    const config = JSON.parse((await daemon.read(manifest.config.digest)).toString());
    assert.equal(config.os, 'linux');
  });

  test('has how each result was made', async () => {
    using work = new WorkDirectory();
    await using daemon = await open(work);
    const ref = await daemon.solve(tree);
    const { attestations } = (await daemon.record(ref))!.result!;
    assert.deepEqual(
      attestations.map(({ mediaType, annotations }) => [mediaType, annotations['in-toto.io/predicate-type']]),
      [['application/vnd.in-toto+json', 'https://slsa.dev/provenance/v1']],
    );
    const { buildDefinition, runDetails } = JSON.parse(
      (await daemon.read(attestations[0]!.digest)).toString(),
    );
    assert.equal(buildDefinition.internalParameters.buildConfig.llbDefinition.length, 2);
    assert.ok(new Date(runDetails.metadata.finishedOn) > new Date(runDetails.metadata.startedOn));
    await daemon.control.updateBuildHistory({ ref, delete: true });
    assert.deepEqual(await daemon.blobs(), []);
  });

  test('gets the trace of the build when it is finalized, once', async () => {
    using work = new WorkDirectory();
    await using daemon = await open(work);
    const ref = await daemon.solve(tree.file(files().mkdir('/not/there', 0o755)));
    assert.equal((await daemon.record(ref))!.trace, undefined);
    await daemon.control.updateBuildHistory({ ref, finalize: true });
    const { trace } = (await daemon.record(ref))!;
    assert.equal(trace?.mediaType, 'application/vnd.buildkit.otlp.json.v0');
    const spans = (await daemon.read(trace!.digest))
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const [build, ...steps] = spans;
    assert.deepEqual([build.Name, build.Parent.SpanID, build.ChildSpanCount], ['build', '0'.repeat(16), 2]);
    assert.deepEqual(
      steps.map(({ Name, Status, Parent }) => [Name, Status.Code, Parent.SpanID]),
      [
        ['mkfile /file', 'Unset', build.SpanContext.SpanID],
        ['mkdir /not/there', 'Error', build.SpanContext.SpanID],
      ],
    );
    assert.ok(steps.every(({ StartTime, EndTime }) => StartTime <= EndTime));
    await daemon.control.updateBuildHistory({ ref, finalize: true });
    assert.equal((await daemon.record(ref))!.trace?.digest, trace!.digest);
  });

  test('has what failed, with the details in a blob', async () => {
    using work = new WorkDirectory();
    await using daemon = await open(work);
    const ref = await daemon.solve(tree.file(files().mkdir('/not/there', 0o755)));
    const record = (await daemon.record(ref))!;
    assert.match(record.error!.message, /mkdir \/not\/there/);
    assert.deepEqual(record.error!.details, []);
    const whole = fromBinary(StatusSchema, await daemon.read(record.externalError!.digest));
    assert.equal(whole.message, record.error!.message);
    const stack = whole.details.find(({ typeUrl }) => typeUrl.endsWith('/stack.Stack+json'))!;
    const { frames } = JSON.parse(Buffer.from(stack.value).toString());
    assert.ok(frames.some(({ File }: { readonly File: string }) => /^src\/.*\.ts$/.test(File)));
  });

  test('leaves nothing when the daemon was killed before it was written', async () => {
    using work = new WorkDirectory();
    {
      await using daemon = await open(work);
      await daemon.solve(tree);
      await daemon.solve(scratch().file(files().mkfile('/other', 0o644, 'other')));
      assert.ok((await daemon.blobs()).length > 0);
    }
    {
      using database = new DatabaseSync(work.at('root/kiln.db'));
      database.exec('DELETE FROM build_history');
    }
    await using daemon = await open(work);
    assert.deepEqual(await daemon.blobs(), []);
  });

  test('takes its blobs with it, but not those that others have', async () => {
    using work = new WorkDirectory();
    await using daemon = await open(work);
    const image = [{ type: 'image', attrs: { 'source-date-epoch': '0' } }];
    const first = await daemon.solve(tree, image);
    const second = await daemon.solve(tree, image);
    await Array.fromAsync(daemon.control.prune({ all: true }));
    const { result, logs } = (await daemon.record(second))!;
    await daemon.control.updateBuildHistory({ ref: first, delete: true });
    assert.equal(await daemon.record(first), undefined);
    const left = await daemon.blobs();
    assert.ok(left.includes(logs!.digest) && left.includes(result!.results['0']!.digest));
    await daemon.control.updateBuildHistory({ ref: second, delete: true });
    assert.deepEqual(await daemon.blobs(), []);
  });
});
