import { inTurns } from '../base/async/in-turns.ts';
import type { Range } from '../base/errors.ts';
import { type Json, type JsonParts, jsonMap, nonEmpty } from '../base/json/json-steps.ts';
import type { SourceFile, SourceMap } from '../llb/op.ts';
import { unmarshalInTurns } from '../llb/wire/unmarshal-definition.ts';
import { type BuildSteps, buildSteps, digestMapping } from './build-steps.ts';
import type { OpJsonOptions } from './op-json.ts';

/** Where the steps were written, and the files in which they were. Undefined without files. */
export async function sourceMapJson(
  { files, locations }: SourceMap,
  { names }: BuildSteps,
  options: OpJsonOptions,
): Promise<JsonParts | undefined> {
  if (files.length === 0) return undefined;
  const infos: JsonParts[] = [];
  for (const file of files) infos.push(await fileJson(file, options));
  const located = [...names].map(([digest, name]): [string, Json] => {
    const json = (locations.get(digest) ?? []).map(({ file, ranges }) =>
      nonEmpty({ sourceIndex: file, ranges: ranges.map(rangeJson) }),
    );
    return [name, nonEmpty({ locations: json })];
  });
  // The last step is none of those that were written.
  located.pop();
  return { ...nonEmpty({ locations: jsonMap(located) }), infos };
}

async function fileJson(
  { filename, language, data, definition }: SourceFile,
  options: OpJsonOptions,
): Promise<JsonParts> {
  const steps = definition && (await inTurns(buildSteps(await unmarshalInTurns(definition), options)));
  return nonEmpty<JsonParts>({
    filename,
    language,
    data: Buffer.from(options.data(data)).toString('base64'),
    llbDefinition: steps?.steps,
    digestMapping: steps && digestMapping(steps),
  });
}

function rangeJson({ start, end }: Range): Json {
  return { start: nonEmpty({ ...start }), end: nonEmpty({ ...end }) };
}
