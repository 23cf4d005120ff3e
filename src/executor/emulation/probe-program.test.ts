import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryDirectories } from '../../base/testing/temporary-directories.ts';
import { architectureOfElf, architectures } from './architecture.ts';
import { findEmulator } from './emulator.ts';
import { probeProgram, probeStatus } from './probe-program.ts';

const newDirectory = temporaryDirectories();

for (const architecture of architectures) {
  test(`the program for ${architecture.name} does what it should on that architecture, as qemu has it`, async () => {
    const bytes = probeProgram(architecture);
    assert.equal(architectureOfElf(bytes), architecture);
    const file = path.join(newDirectory(), 'probe');
    writeFileSync(file, bytes, { mode: 0o755 });
    const emulator = await findEmulator(architecture);
    assert.ok(emulator, `no emulator for ${architecture.qemuName}`);
    const { status, signal, stderr } = spawnSync(emulator.program, [file]);
    assert.deepEqual({ status, signal }, { status: probeStatus, signal: null }, stderr.toString());
  });
}

test('what is no program has no architecture', () => {
  const amd64 = probeProgram(architectures[0]!);
  assert.equal(architectureOfElf(amd64.subarray(0, 19)), undefined);
  assert.equal(architectureOfElf(Buffer.from('#!/bin/sh\necho something longer\n')), undefined);
  const unknown = Buffer.from(amd64);
  unknown.writeUInt16LE(0xfffe, 18);
  assert.equal(architectureOfElf(unknown), undefined);
});
