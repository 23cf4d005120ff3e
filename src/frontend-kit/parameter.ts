import { KilnError } from '../base/errors.ts';
import { parseGoBool } from '../base/text/go-bool.ts';

/** A value that a client can give as a text: a build argument of a target. */
export interface Parameter<Value> {
  /** What it can be, as an error says it. */
  readonly expected: string;
  readonly description: string | undefined;
  /** As a text; undefined where there is no value unless the client gives one. */
  readonly default: string | undefined;
  readonly isRequired: boolean;
  /** Undefined for a text that is no such value. */
  readonly parse: (text: string) => Value | undefined;
}

/** By name. */
export type Parameters = Readonly<Record<string, Parameter<unknown>>>;

export type ParameterValues<Of extends Parameters> = {
  readonly [Name in keyof Of]: Of[Name] extends Parameter<infer Value> ? Value : never;
};

interface Described {
  readonly description?: string;
}
interface WithDefault<Value> extends Described {
  readonly default: Value;
}
interface Optional extends Described {
  readonly optional: true;
}
type Options<Value> = Described & { readonly default?: Value; readonly optional?: boolean };

/** A text. Without a default, the client has to give it unless it is optional. */
export function text(options?: Described | WithDefault<string>): Parameter<string>;
export function text(options: Optional): Parameter<string | undefined>;
export function text(options: Options<string> = {}): Parameter<string | undefined> {
  return parameter('a text', options, (given) => given);
}

/** `true` or `false`; false unless the client or the default says otherwise. */
export function flag(options: Described & { readonly default?: boolean } = {}): Parameter<boolean> {
  return parameter('true or false', { default: false, ...options }, parseGoBool);
}

/** A whole number. */
export function wholeNumber(options?: Described | WithDefault<number>): Parameter<number>;
export function wholeNumber(options: Optional): Parameter<number | undefined>;
export function wholeNumber(options: Options<number> = {}): Parameter<number | undefined> {
  return parameter('a whole number', options, (given) => {
    const number = Number(given);
    return /^[+-]?\d+$/.test(given) && Number.isSafeInteger(number) ? number : undefined;
  });
}

/** One of some texts. */
export function choice<const Value extends string>(
  values: readonly Value[],
  options?: Described | WithDefault<NoInfer<Value>>,
): Parameter<Value>;
export function choice<const Value extends string>(
  values: readonly Value[],
  options: Optional,
): Parameter<Value | undefined>;
export function choice<const Value extends string>(
  values: readonly Value[],
  options: Options<Value> = {},
): Parameter<Value | undefined> {
  return parameter(`one of ${values.join(', ')}`, options, (given) =>
    values.find((value) => value === given),
  );
}

function parameter<Value>(
  expected: string,
  options: Options<NonNullable<Value>>,
  parse: (text: string) => Value | undefined,
): Parameter<Value> {
  return Object.freeze({
    expected,
    description: options.description,
    default: options.default === undefined ? undefined : String(options.default),
    isRequired: options.default === undefined && options.optional !== true,
    parse,
  });
}

/** The values that a client gave, and the defaults of others. Throws `invalid_argument` naming the argument. */
export function readParameters<Of extends Parameters>(
  parameters: Of,
  given: ReadonlyMap<string, string>,
): ParameterValues<Of> {
  const entries = Object.entries(parameters).map(([name, { expected, parse, ...parameter }]) => {
    const written = given.get(name) ?? parameter.default;
    if (written === undefined) {
      if (!parameter.isRequired) return [name, undefined];
      throw new KilnError('invalid_argument', `build argument ${name} is missing; expected ${expected}`, {
        hint: `give it with --build-arg ${name}=…`,
      });
    }
    const value = parse(written);
    if (value !== undefined) return [name, value];
    throw new KilnError(
      'invalid_argument',
      `build argument ${name} is ${JSON.stringify(written.slice(0, 200))}; expected ${expected}`,
    );
  });
  return Object.fromEntries(entries) as ParameterValues<Of>;
}
