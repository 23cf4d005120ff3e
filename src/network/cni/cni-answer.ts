import { isIP } from 'node:net';
import { KilnError } from '../../base/errors.ts';
import { checkJsonBounds } from '../../base/json/json-bounds.ts';
import type { ProgramAnswer } from '../../linux/process/call-program.ts';
import { isRecord } from './cni-network.ts';

/** What a plugin says of the network that it has made, as the next plugin is told. */
export type CniResult = Readonly<Record<string, unknown>>;

const longestMessage = 1000;

/** Reads what a plugin answered to ADD (SPEC.md, "Success"). Throws `failed_precondition` for what is no result, with the plugin's own words if it failed. */
export function parseCniResult(plugin: string, answer: ProgramAnswer): CniResult {
  checkSuccess(plugin, 'ADD', answer);
  const result = parseJson(answer.stdout);
  if (!isRecord(result)) throw unusable(plugin, 'it is not a JSON object');
  const { cniVersion, ips = [], interfaces = [] } = result;
  if (cniVersion !== undefined && typeof cniVersion !== 'string')
    throw unusable(plugin, 'its cniVersion is no text');
  if (!Array.isArray(ips) || !ips.every(isAddress)) throw unusable(plugin, 'its ips are no addresses');
  if (!Array.isArray(interfaces) || !interfaces.every(isRecord)) {
    throw unusable(plugin, 'its interfaces are no list of objects');
  }
  return result;
}

/** Throws `failed_precondition` if the plugin failed. */
export function checkSuccess(
  plugin: string,
  command: 'ADD' | 'DEL',
  { end, stdout, stderr }: ProgramAnswer,
): void {
  if (end.kind === 'exited' && end.code === 0) return;
  const said = errorMessage(stdout) || stderr.trim().split('\n').at(-1) || '';
  const how = end.kind === 'exited' ? `exit code ${end.code}` : `signal ${end.signal}`;
  throw new KilnError(
    'failed_precondition',
    `the CNI plugin ${plugin} failed (${command}): ${printable(said) || how}`,
  );
}

/** SPEC.md, "Error". */
function errorMessage(stdout: string): string {
  const error = parseJson(stdout);
  if (!isRecord(error)) return '';
  return [error.msg, error.details].filter((text) => typeof text === 'string' && text !== '').join('; ');
}

/** Undefined for what is not JSON, or too much of it. */
function parseJson(text: string): unknown {
  try {
    checkJsonBounds(Buffer.from(text), 'an answer');
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An address with the length of its prefix, as in CNI 0.3.0 and later. */
function isAddress(value: unknown): boolean {
  if (!isRecord(value) || typeof value.address !== 'string') return false;
  const [address = '', prefix = ''] = value.address.split('/', 2);
  return (
    isIP(address) !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (isIP(address) === 4 ? 32 : 128)
  );
}

/** On one line, and no longer than is useful: a message of a program that must not steer a terminal. */
function printable(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return line.length > longestMessage ? `${line.slice(0, longestMessage)}…` : line;
}

function unusable(plugin: string, what: string): KilnError {
  return new KilnError(
    'failed_precondition',
    `the CNI plugin ${plugin} gave a result that cannot be used: ${what}`,
  );
}
