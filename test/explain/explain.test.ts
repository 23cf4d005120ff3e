import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { type BuildHistoryRecord, Control } from '../../src/api/gen/control_pb.js';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { Daemon } from '../rig/daemon.ts';
import { daemonRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { EditRunner } from './edit-runner.ts';
import { edits } from './edits.ts';

describe('what runs after an edit, and why', () => {
  const rig = daemonRig();
  let runner: EditRunner;
  before(() => {
    runner = new EditRunner(rig.kiln, rig.work);
  });

  for (const edit of edits)
    test(edit.name, async () => {
      assert.deepEqual(await runner.run(edit), edit.ran);
    });
});

describe('explanations', () => {
  test('are shown with --explain only, and kept in the history, also across restarts', async () => {
    using work = new WorkDirectory();
    const root = work.at('root');
    const context = work.tree({ Dockerfile: 'FROM base\nCOPY a.txt /\n', 'a.txt': 'first' });
    const said = /not cached: a\.txt changed \(content\)/;
    {
      await using daemon = await Daemon.start({ root });
      const first = await daemon.kiln.build(context, ['--explain']);
      assert.doesNotMatch(first.stderr, /not cached/);
    }
    await using daemon = await Daemon.start({ root });
    writeFileSync(path.join(context, 'a.txt'), 'second');
    const second = await daemon.kiln.build(context, ['--explain']);
    assert.match(second.stderr, said);
    writeFileSync(path.join(context, 'a.txt'), 'third');
    const third = await daemon.kiln.build(context);
    assert.doesNotMatch(third.stderr, said);

    const records = await historyOf(daemon.address);
    const causes = records.map(({ explanations }) =>
      explanations.map(({ text, cause }) => [text, cause?.kind, cause?.name, cause?.change]),
    );
    const cause = ['a.txt changed (content)', 'file', 'a.txt', 'content'];
    assert.deepEqual(causes, [[], [cause], [cause]]);
  });
});

async function historyOf(address: string): Promise<readonly BuildHistoryRecord[]> {
  await using connection = await connectDaemon(address);
  const events = createClient(Control, connection.transport).listenBuildHistory({ earlyExit: true });
  const records: BuildHistoryRecord[] = [];
  for await (const { record } of events) if (record) records.push(record);
  return records;
}
