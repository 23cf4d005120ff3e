// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a policy's templates look like this language's
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asKilnError } from '../../base/errors.ts';
import { CompiledPolicies } from './compiled-policies.ts';
import type { AttributeConstraint, SourceRule, SourceSelector } from './source-policy.ts';

const busybox = 'docker-image://docker.io/library/busybox:1.36';
const mirror = 'docker-image://mirror.example/busybox:1.36';

function select(identifier: string, rest: Partial<SourceSelector> = {}): SourceSelector {
  return { identifier, match: 'wildcard', constraints: [], ...rest };
}
const allow = (identifier: string, rest?: Partial<SourceSelector>): SourceRule => ({
  action: 'allow',
  selector: select(identifier, rest),
});
const deny = (identifier: string, rest?: Partial<SourceSelector>): SourceRule => ({
  action: 'deny',
  selector: select(identifier, rest),
});
const convert = (
  identifier: string,
  to: string,
  rest?: Partial<SourceSelector>,
  attrs: Readonly<Record<string, string>> = {},
): SourceRule => ({
  action: 'convert',
  selector: select(identifier, rest),
  update: { identifier: to, attrs },
});

function apply(rules: readonly SourceRule[], identifier = busybox, attrs: Record<string, string> = {}) {
  return new CompiledPolicies([{ rules }]).apply({ identifier, attrs });
}
function failure(work: () => unknown) {
  try {
    work();
  } catch (error) {
    return asKilnError(error);
  }
  throw new Error('it was allowed');
}

describe('which sources a rule is about', () => {
  const table: readonly (readonly [string, SourceSelector['match'], boolean])[] = [
    [busybox, 'exact', true],
    [busybox, 'wildcard', true],
    [busybox, 'regex', true],
    ['docker-image://docker.io/library/*', 'exact', false],
    ['docker-image://docker.io/library/*', 'wildcard', true],
    ['*', 'wildcard', true],
    ['docker-image://*/busybox:*', 'wildcard', true],
    ['docker-image://docker.io/library/busybox', 'wildcard', false],
    ['docker-image://docker.io/library/busybox:1?36', 'wildcard', false],
    ['busybox', 'regex', true],
    ['^busybox', 'regex', false],
    [String.raw`docker\-image://docker\.io/.*:1\.\d+\z`, 'regex', true],
    [String.raw`\Alibrary`, 'regex', false],
    ['(?i)BUSYBOX', 'regex', true],
    ['BUSYBOX', 'regex', false],
  ];
  for (const [identifier, match, matches] of table) {
    test(`${match} ${identifier} ${matches ? 'matches' : 'does not match'} ${busybox}`, () => {
      const denied = () => apply([deny(identifier, { match })]);
      if (matches) assert.equal(failure(denied).code, 'permission_denied');
      else assert.equal(denied().identifier, busybox);
    });
  }

  const constraints: readonly (readonly [AttributeConstraint['condition'], string, boolean])[] = [
    ['equal', 'sha256:aa', true],
    ['equal', 'sha256:a', false],
    ['not-equal', 'sha256:bb', true],
    ['not-equal', 'sha256:aa', false],
    ['matches', '^sha256:', true],
    ['matches', '^sha512:', false],
  ];
  for (const [condition, value, holds] of constraints) {
    test(`an attribute that is sha256:aa is ${holds ? '' : 'not '}one that ${condition} ${value}`, () => {
      const denied = () =>
        apply([deny('*', { constraints: [{ key: 'sum', value, condition }] })], busybox, {
          sum: 'sha256:aa',
        });
      if (holds) assert.equal(failure(denied).code, 'permission_denied');
      else denied();
    });
  }

  test('an attribute that a source does not have is empty', () => {
    const none: AttributeConstraint = { key: 'constructor', value: '', condition: 'equal' };
    assert.equal(failure(() => apply([deny('*', { constraints: [none] })])).code, 'permission_denied');
  });
});

describe('what rules decide', () => {
  test('a source that no rule is about is allowed', () => {
    assert.equal(apply([deny('git://*')]).identifier, busybox);
  });

  test('the last of several rules about a source decides', () => {
    assert.equal(apply([deny(busybox), allow(busybox)]).identifier, busybox);
    failure(() => apply([allow(busybox), deny(busybox)]));
    assert.equal(apply([allow(busybox), deny('*'), allow('*busybox*')]).identifier, busybox);
  });

  test('every policy has to allow a source', () => {
    const policies = new CompiledPolicies([{ rules: [allow('*')] }, { rules: [deny('*')] }]);
    failure(() => policies.apply({ identifier: busybox, attrs: {} }));
  });

  test('a denial names the source, and the rule that denies it', () => {
    const { message, code } = failure(() => apply([allow('*'), deny('docker-image://*')]));
    assert.equal(code, 'permission_denied');
    assert.match(message, /source "docker-image:\/\/docker\.io\/library\/busybox:1\.36" denied by policy/);
    assert.match(message, /rule 2, DENY docker-image:\/\/\*/);
  });
});

describe('what rules convert a source into', () => {
  test('an identifier, with attributes added', () => {
    const rule = convert(busybox, mirror, { match: 'exact' }, { sum: 'x' });
    assert.deepEqual(apply([rule], busybox, { own: '1' }), {
      identifier: mirror,
      attrs: { own: '1', sum: 'x' },
    });
  });

  test('what the stars of a wildcard stood for', () => {
    const rule = convert('docker-image://docker.io/*/busybox:*', 'docker-image://m.example/$1-${2}-$$');
    assert.equal(apply([rule]).identifier, 'docker-image://m.example/library-1.36-$');
  });

  test('what the groups of an expression stood for, by number and by name; the rest stays', () => {
    const rule = convert('(docker)[.]io/(?P<user>[a-z]+)', '$user.${1}.example$9', { match: 'regex' });
    assert.equal(apply([rule]).identifier, 'docker-image://library.docker.example/busybox:1.36');
  });

  test('a name goes on as long as letters, digits and underscores do', () => {
    const rule = convert('docker-image://*', 'git://$1x/${1}x', { match: 'wildcard' });
    assert.equal(apply([rule], 'docker-image://a').identifier, 'git:///ax');
  });

  test('attributes alone leave the identifier as it is, whatever the selector', () => {
    const rule = convert('https://*', '', {}, { 'http.checksum': 'sha256:aa' });
    assert.deepEqual(apply([rule], 'https://example.com/f'), {
      identifier: 'https://example.com/f',
      attrs: { 'http.checksum': 'sha256:aa' },
    });
  });

  test('what it becomes is converted again, and has to be allowed', () => {
    const chain = [convert('a://*', 'b://$1'), convert('b://*', 'c://$1')];
    assert.equal(apply(chain, 'a://x').identifier, 'c://x');
    assert.match(failure(() => apply([...chain, deny('c://*')], 'a://x')).message, /"c:\/\/x" denied/);
  });

  test('a rule that denies what is converted does not stand in the way', () => {
    assert.equal(apply([deny('a://*'), convert('a://*', 'b://$1')], 'a://x').identifier, 'b://x');
  });

  test('rules that chase each other are an error that names them', () => {
    const { code, message } = failure(() =>
      apply([convert('a://*', 'b://$1'), convert('b://*', 'a://$1')], 'a://x'),
    );
    assert.equal(code, 'failed_precondition');
    assert.match(message, /source "a:\/\/x": too many conversions .* rule [12], CONVERT/);
  });
});

describe('rules that make no sense', () => {
  for (const [name, rule] of [
    ['an expression that is none', deny('(', { match: 'regex' })],
    ['two stars', deny('docker-image://**')],
    [
      'a constraint that is no expression',
      deny('*', { constraints: [{ key: 'k', value: '[', condition: 'matches' }] }),
    ],
  ] as const) {
    test(`${name} are refused when the build starts, with the number of the rule`, () => {
      const { code, message } = failure(() => new CompiledPolicies([{ rules: [allow('*'), rule] }]));
      assert.equal(code, 'invalid_argument');
      assert.match(message, /^source policy: rule 2, DENY/);
    });
  }
});
