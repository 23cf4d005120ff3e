import { type Json, jsonMap, nonEmpty } from '../base/json/json-steps.ts';
import type { Platform } from '../base/platform.ts';
import { buildJson } from '../llb/json/build-json.ts';
import { changeJson } from '../llb/json/change-json.ts';
import { execJson } from '../llb/json/exec-json.ts';
import type { FileAction, FileChange, Op, OpAction, SourceOp } from '../llb/op.ts';

/** Attributes of sources that differ from build to build. */
const ofOneBuild: ReadonlySet<string> = new Set(['local.session', 'local.unique', 'oci.session']);

export interface OpJsonOptions {
  /** What is written instead of the data of a file. */
  readonly data: (data: Uint8Array) => Uint8Array;
}

/** An op without its inputs, as BuildKit writes one as JSON. */
export function opJson({ action, platform, constraints }: Op, options: OpJsonOptions): Json {
  return nonEmpty({
    Op: actionJson(action, options),
    platform: platform && platformJson(platform),
    constraints: constraints && nonEmpty({ filter: [...constraints] }),
  });
}

/** The op that ends a definition. */
export const terminalJson: Json = { Op: {} };

function platformJson({ architecture, os, variant, osVersion, osFeatures }: Platform): Json {
  return nonEmpty({
    Architecture: architecture,
    OS: os,
    Variant: variant,
    OSVersion: osVersion,
    OSFeatures: osFeatures && [...osFeatures],
  });
}

function actionJson(action: OpAction, options: OpJsonOptions): Json {
  switch (action.kind) {
    case 'exec':
      return { exec: execJson(action) };
    case 'source':
      return { source: sourceJson(action) };
    case 'file':
      return { file: nonEmpty({ actions: action.actions.map((each) => fileActionJson(each, options)) }) };
    case 'build':
      return { build: buildJson(action) };
    case 'merge':
      return { merge: nonEmpty({ inputs: action.inputs.map(inputJson) }) };
    case 'diff':
      return { diff: { lower: inputJson(action.lower), upper: inputJson(action.upper) } };
    case 'passthrough':
      return { passthrough: nonEmpty({ id: action.id, outputs: [...action.outputs] }) };
  }
}

function inputJson(input: number): Json {
  return nonEmpty({ input });
}

function sourceJson({ identifier, attrs }: SourceOp): Json {
  return nonEmpty({
    identifier,
    attrs: jsonMap(Object.entries(attrs).filter(([name]) => !ofOneBuild.has(name))),
  });
}

function fileActionJson({ input, secondaryInput, output, change }: FileAction, options: OpJsonOptions): Json {
  return { input, secondaryInput, output, Action: { [change.kind]: changeJson(withData(change, options)) } };
}

function withData(change: FileChange, { data }: OpJsonOptions): FileChange {
  return change.kind === 'mkfile' ? { ...change, data: data(change.data) } : change;
}
