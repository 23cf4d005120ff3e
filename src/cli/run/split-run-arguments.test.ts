import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgram, type ProcessContext } from '../program.ts';
import { splitRunArguments } from './split-run-arguments.ts';

const program = createProgram({} as ProcessContext);
const split = (line: string) => splitRunArguments(line.split(' '), program).join(' ');

test('what follows the image of a run is set apart, whatever flags come before', () => {
  const cases = {
    'run app ls -l': 'run app -- ls -l',
    'run app': 'run app --',
    '--root dir --debug run -it app sh -c ls': '--root dir --debug run -it app -- sh -c ls',
    'run --root dir -e A=1 -eB=2 -itw / app -e': 'run --root dir -e A=1 -eB=2 -itw / app -- -e',
    'run --env=A --env B --volume=a:/b app -- x': 'run --env=A --env B --volume=a:/b app -- -- x',
    'run --read-only --user 1 app': 'run --read-only --user 1 app --',
  };
  for (const [line, expected] of Object.entries(cases)) assert.equal(split(line), expected);
});

test('other command lines stay as they are', () => {
  for (const line of [
    'build -t run .',
    'run --help',
    'run',
    '--addr run images',
    'run -- app ls',
    'images run',
  ]) {
    assert.equal(split(line), line);
  }
});
