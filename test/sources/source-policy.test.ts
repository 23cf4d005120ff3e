import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { policyArguments } from '../rig/policy-arguments.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';

describe('a source policy file', () => {
  const rig = suiteRig(async (resources) => {
    const registry = resources.use(await startRegistry());
    const { directory } = baseLayout();
    const to = `docker://${registry.host}/mirror/tool:1.0`;
    await mustRun('skopeo', ['copy', '--dest-tls-verify=false', `oci:${directory}:latest`, to]);
    return { ...(await openDaemon(resources)), registry };
  });
  const policy = (...rules: readonly object[]) => policyArguments(rig.work, ...rules);

  test('has another image used, for bases and for what is copied from', async () => {
    const context = rig.work.tree({
      Dockerfile:
        'FROM registry.invalid/tool:1.0\nCOPY --from=registry.invalid/tool:1.0 /bin/busybox /copied\nRUN cmp /copied /bin/busybox && echo it ran > /said\n',
    });
    const convert = {
      action: 'CONVERT',
      selector: { identifier: 'docker-image://registry.invalid/*' },
      updates: { identifier: `docker-image://${rig.registry.host}/mirror/$1` },
    };
    assert.equal(await rig.kiln.textOf('said', context, policy(convert)), 'it ran\n');
  });

  test('has a directory used in the place of an image that stands for a stage', async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM scratch AS stage\nFROM scratch\nCOPY --from=stage /file /\n',
    });
    const other = rig.work.tree({ file: 'from the directory' });
    const convert = {
      action: 'CONVERT',
      selector: { identifier: 'docker-image://registry.invalid/tool:1.0' },
      updates: { identifier: 'local://other' },
    };
    const named = ['--opt', 'context:stage=docker-image://registry.invalid/tool:1.0'];
    const args = [...named, '--local', `other=${other}`, ...policy(convert)];
    assert.equal(await rig.kiln.textOf('file', context, args), 'from the directory');
  });

  test('denies an image before anything of it is resolved, and the error shows where it is used', async () => {
    const context = rig.work.tree({ Dockerfile: '# first\nFROM registry.invalid/tool:1.0\nRUN true\n' });
    const { stderr } = await rig.kiln.failingBuild(
      context,
      policy({ action: 'DENY', selector: { identifier: 'docker-image://registry.invalid/*' } }),
    );
    assert.match(
      stderr,
      /source "docker-image:\/\/registry\.invalid\/tool:1\.0" denied by policy: rule 1, DENY/,
    );
    assert.match(stderr, /2 \| >>> FROM registry\.invalid\/tool:1\.0/);
    assert.doesNotMatch(stderr, /load metadata/);
  });

  test('can ask for attributes of a source', async () => {
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\nCOPY file /\n', file: 'x' });
    const unless = (value: string) =>
      policy({
        action: 'DENY',
        selector: {
          identifier: 'local://dockerfile',
          constraints: [{ key: 'local.differ', value, condition: 'NOTEQUAL' }],
        },
      });
    await rig.kiln.build(context, unless('none'));
    const { stderr } = await rig.kiln.failingBuild(context, unless('metadata'));
    assert.match(stderr, /denied by policy/);
  });

  test('is about local directories, too', async () => {
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\nCOPY file /\n', file: 'x' });
    const { stderr } = await rig.kiln.failingBuild(
      context,
      policy({ action: 'DENY', selector: { identifier: 'local://context' } }),
    );
    assert.match(stderr, /source "local:\/\/context" denied by policy/);
  });

  test('with an expression that is none is refused before the build starts', async () => {
    const context = rig.work.tree({ Dockerfile: 'FROM scratch\n' });
    const { stderr } = await rig.kiln.failingBuild(
      context,
      policy({ action: 'DENY', selector: { identifier: '(', matchType: 'REGEX' } }),
    );
    assert.match(stderr, /source policy: rule 1, DENY \(: invalid regular expression/);
    assert.doesNotMatch(stderr, /load build definition/);
  });
});
