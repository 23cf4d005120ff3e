import path from 'node:path';
import { unixPath } from '../../base/default-path.ts';
import { asKilnError } from '../../base/errors.ts';
import { callProgram, type ProgramAnswer } from '../../linux/process/call-program.ts';
import { type CniResult, checkSuccess, parseCniResult } from './cni-answer.ts';
import type { CniNetwork, CniPlugin } from './cni-network.ts';

/** A namespace's part in a network: all that plugins have to be told of it, when it begins and when it ends. */
export interface CniAttachment {
  /** `[A-Za-z0-9]+` */
  readonly id: string;
  readonly network: CniNetwork;
  /** The directory of the plugins' programs. */
  readonly programs: string;
  /** `name=value`, between semicolons. */
  readonly args: string;
  /** Undefined until the network is made, or when it could not be. */
  readonly result?: CniResult;
}

/** How plugins are called. */
export interface CniCall {
  /** A file that stands for the namespace; undefined when there is none any more. */
  readonly namespace: string | undefined;
  /** How long each plugin may take. */
  readonly milliseconds: number;
}

/** The name that the namespace's interface gets. */
const interfaceName = 'eth0';
const mostOutput = 1024 * 1024;
/** From this version on plugins are told their result when the network ends. */
const tellsResult = [0, 4, 0];

/** Has the plugins make the network, in order, each being told the result of those before. Throws what the first that fails says. */
export async function attach(attachment: CniAttachment, call: CniCall): Promise<CniResult> {
  let result: CniResult = {};
  for (const [index, plugin] of attachment.network.plugins.entries()) {
    const answer = await callPlugin(
      'ADD',
      plugin,
      { ...attachment, result: index > 0 ? result : undefined },
      call,
    );
    result = parseCniResult(plugin.type, answer);
  }
  return result;
}

/** Has the plugins take back the network, in reverse order, all of them, whatever one says. Throws what the first that fails says. */
export async function detach(attachment: CniAttachment, call: CniCall): Promise<void> {
  const isTold = !isBefore(attachment.network.cniVersion, tellsResult);
  const told = { ...attachment, result: isTold ? attachment.result : undefined };
  let failure: unknown;
  for (const plugin of attachment.network.plugins.toReversed()) {
    try {
      checkSuccess(plugin.type, 'DEL', await callPlugin('DEL', plugin, told, call));
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
}

export function programOf({ type }: CniPlugin, programs: string): string {
  return path.join(programs, type);
}

async function callPlugin(
  command: 'ADD' | 'DEL',
  plugin: CniPlugin,
  { id, network, programs, args, result }: CniAttachment,
  { namespace, milliseconds }: CniCall,
): Promise<ProgramAnswer> {
  const { name, cniVersion } = network;
  const input = { ...plugin.config, name, cniVersion, ...(result && { prevResult: result }) };
  try {
    return await callProgram({
      program: programOf(plugin, programs),
      args: [],
      input: JSON.stringify(input),
      environment: {
        ...process.env,
        // Plugins start programs of administrators.
        PATH: [process.env.PATH, unixPath].filter(Boolean).join(':'),
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: namespace ?? '',
        CNI_IFNAME: interfaceName,
        CNI_ARGS: args,
        CNI_PATH: programs,
      },
      mostOutput,
      milliseconds,
    });
  } catch (error) {
    throw asKilnError(error).wrap(`the CNI plugin ${plugin.type}`);
  }
}

function isBefore(version: string, [major = 0, minor = 0]: readonly number[]): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number);
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}
