import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const oldNode = path.resolve(
  import.meta.dirname,
  `../../test-servers/node_modules/node-linux-${process.arch}/bin/node`,
);

/** Says what the classes do, by themselves or as `older-node.ts` has them. */
const script = `
const said = [];
const say = (text) => said.push(text);
const attempt = async (act) => {
  try {
    say(await act());
  } catch (error) {
    const told = (each) =>
      each instanceof SuppressedError
        ? [each.name, told(each.error), told(each.suppressed)]
        : each.name === 'Error' ? each.message : each.name;
    say(told(error));
  }
};
for (const [Stack, symbol, dispose] of [
  [DisposableStack, Symbol.dispose, 'dispose'],
  [AsyncDisposableStack, Symbol.asyncDispose, 'disposeAsync'],
]) {
  const stack = new Stack();
  const resource = { [symbol]: () => say('resource') };
  say(stack.use(resource) === resource && stack.use(null) === null && stack.use(undefined) === undefined);
  say(stack.adopt('value', (value) => say('adopted ' + value)));
  stack.defer(() => say('deferred'));
  const moved = stack.move();
  say([stack.disposed, moved.disposed]);
  await attempt(() => stack.use(resource));
  await attempt(() => stack.move());
  await attempt(() => stack[dispose]());
  await attempt(() => moved[symbol]());
  await attempt(() => moved[dispose]());
  say(moved.disposed);
  await attempt(() => new Stack().use({}));
  await attempt(() => new Stack().use(1));
  const failing = new Stack();
  for (const name of ['one', 'two', 'three']) {
    failing.defer(() => {
      throw new Error(name);
    });
  }
  failing.defer(() => say('goes on'));
  await attempt(() => failing[dispose]());
  if (Stack === AsyncDisposableStack) {
    const waiting = new Stack();
    waiting.use({ [Symbol.dispose]: () => say('not asynchronous') });
    waiting.defer(async () => {
      await null;
      say('waited');
      throw new Error('late');
    });
    waiting.defer(() => say('first'));
    await attempt(() => waiting[dispose]());
  }
}
console.log(JSON.stringify(said));
`;

test('what Node 22 lacks does what Node 24 has', () => {
  const file = pathToFileURL(path.join(import.meta.dirname, 'older-node.ts')).href;
  const names = 'AsyncDisposableStack, DisposableStack, SuppressedError';
  const run = (node: string, text: string) =>
    JSON.parse(execFileSync(node, ['--input-type=module', '-e', text], { encoding: 'utf8', stdio: 'pipe' }));
  const expected = run(process.execPath, script);
  assert.ok(expected.length > 20);
  assert.deepEqual(run(oldNode, `import { ${names} } from '${file}';\n${script}`), expected);
});
