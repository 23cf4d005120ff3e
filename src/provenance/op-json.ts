import { type Json, jsonMap, nonEmpty } from '../base/json/json-steps.ts';
import type { Platform } from '../base/platform.ts';
import type {
  ExecMount,
  ExecOp,
  FileAction,
  FileChange,
  Op,
  OpAction,
  Owner,
  OwnerId,
  SourceOp,
} from '../llb/op.ts';
import { cacheSharings, contentCaches, networkModes, securityModes, unset } from '../llb/wire/wire-values.ts';

/** Attributes of sources that differ from build to build. */
const ofOneBuild: ReadonlySet<string> = new Set(['local.session', 'local.unique', 'oci.session']);

const mountTypes = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const;

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
      return {
        build: nonEmpty({
          builder: action.builder,
          inputs: jsonMap(Object.entries(action.inputs).map(([name, index]) => [name, inputJson(index)])),
          attrs: jsonMap(Object.entries(action.attrs)),
        }),
      };
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

function execJson({ meta, mounts, network, security, secretEnv, devices }: ExecOp): Json {
  const proxies = meta.proxyEnv;
  return nonEmpty({
    meta: nonEmpty({
      args: [...meta.args],
      env: [...meta.env],
      cwd: meta.cwd,
      user: meta.user,
      proxy_env:
        proxies &&
        nonEmpty({
          http_proxy: proxies.httpProxy,
          https_proxy: proxies.httpsProxy,
          ftp_proxy: proxies.ftpProxy,
          no_proxy: proxies.noProxy,
          all_proxy: proxies.allProxy,
        }),
      extraHosts: meta.extraHosts.map(({ host, ip }) => nonEmpty({ Host: host, IP: ip })),
      hostname: meta.hostname,
      ulimit: meta.ulimits.map(({ name, soft, hard }) => nonEmpty({ Name: name, Soft: soft, Hard: hard })),
      cgroupParent: meta.cgroupParent,
      removeMountStubsRecursive: meta.removeMountStubsRecursive,
      validExitCodes: [...meta.validExitCodes],
    }),
    mounts: mounts.map(mountJson),
    network: networkModes.byName[network],
    security: securityModes.byName[security],
    secretenv: secretEnv.map(({ id, name, optional }) => nonEmpty({ ID: id, name, optional })),
    cdiDevices: devices.map(({ name, optional }) => nonEmpty({ name, optional })),
  });
}

function mountJson({ type, ...mount }: ExecMount): Json {
  return nonEmpty({
    input: mount.input,
    selector: mount.selector,
    dest: mount.dest,
    output: mount.output,
    readonly: mount.readonly,
    mountType: mountTypes[type.kind],
    TmpfsOpt: type.kind === 'tmpfs' ? nonEmpty({ size: type.size }) : undefined,
    cacheOpt:
      type.kind === 'cache'
        ? nonEmpty({ ID: type.id, sharing: cacheSharings.byName[type.sharing] })
        : undefined,
    secretOpt: type.kind === 'secret' ? secretJson(type) : undefined,
    SSHOpt: type.kind === 'ssh' ? secretJson(type) : undefined,
    resultID: mount.resultId,
    contentCache: contentCaches.byName[mount.contentCache],
  });
}

function secretJson(secret: {
  readonly id: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly optional: boolean;
}): Json {
  const { id, uid, gid, mode, optional } = secret;
  return nonEmpty({ ID: id, uid, gid, mode, optional });
}

function fileActionJson({ input, secondaryInput, output, change }: FileAction, options: OpJsonOptions): Json {
  return { input, secondaryInput, output, Action: { [change.kind]: changeJson(change, options) } };
}

function changeJson(change: FileChange, { data }: OpJsonOptions): Json {
  switch (change.kind) {
    case 'copy':
      return nonEmpty({
        src: change.src,
        dest: change.dest,
        owner: ownerJson(change.owner),
        mode: change.modeString === '' ? (change.mode ?? unset) : 0,
        followSymlink: change.followSymlink,
        dirCopyContents: change.dirCopyContents,
        attemptUnpackDockerCompatibility: change.unpackArchive,
        createDestPath: change.createDestPath,
        allowWildcard: change.allowWildcard,
        allowEmptyWildcard: change.allowEmptyWildcard,
        timestamp: change.timestamp ?? unset,
        include_patterns: [...change.includePatterns],
        exclude_patterns: [...change.excludePatterns],
        alwaysReplaceExistingDestPaths: change.alwaysReplaceExistingDestPaths,
        modeStr: change.modeString,
        required_paths: [...change.requiredPaths],
      });
    case 'mkfile':
      return nonEmpty({
        path: change.path,
        mode: change.mode,
        data: Buffer.from(data(change.data)).toString('base64'),
        owner: ownerJson(change.owner),
        timestamp: change.timestamp ?? unset,
      });
    case 'mkdir':
      return nonEmpty({
        path: change.path,
        mode: change.mode,
        makeParents: change.makeParents,
        owner: ownerJson(change.owner),
        timestamp: change.timestamp ?? unset,
      });
    case 'symlink':
      return nonEmpty({
        oldpath: change.oldPath,
        newpath: change.newPath,
        owner: ownerJson(change.owner),
        timestamp: change.timestamp ?? unset,
      });
    case 'rm':
      return nonEmpty({
        path: change.path,
        allowNotFound: change.allowNotFound,
        allowWildcard: change.allowWildcard,
      });
  }
}

function ownerJson(owner: Owner | undefined): Json | undefined {
  return owner && nonEmpty({ user: ownerIdJson(owner.user), group: ownerIdJson(owner.group) });
}

function ownerIdJson(id: OwnerId | undefined): Json | undefined {
  if (!id) return undefined;
  const user = id.kind === 'id' ? { byId: id.id } : { byName: nonEmpty({ name: id.name, input: id.input }) };
  return { User: nonEmpty<Json>(user) };
}
