import { Command, Option } from 'commander';
import { progressModes } from './progress/display.ts';
import { repeatable } from './repeatable-option.ts';

/** The flags and texts of `kiln build`. */
export function buildCommand(): Command {
  const build = new Command('build')
    .alias('b')
    .description('build a Dockerfile, or LLB from standard input')
    .argument(
      '[path]',
      'the context: a directory, the address of a repository or archive, or - for an archive or a Dockerfile on standard input',
    )
    .optionsGroup('What to build:');
  const command = definitionOptions(build)
    .addOption(
      repeatable(
        '--secret <id=name,src=file>',
        'secret for RUN --mount=type=secret; also id=name,env=VARIABLE (repeatable)',
      ),
    )
    .addOption(
      repeatable('--ssh <id[=socket|key,…]>', 'SSH agent or keys for RUN --mount=type=ssh (repeatable)'),
    )
    .addOption(
      repeatable(
        '--allow <entitlement>',
        'let steps use network.host, security.insecure, device or device=NAME[,alias=NAME] (repeatable)',
      ),
    )
    .optionsGroup('Ask instead of building:')
    .option('--check', 'check the Dockerfile: the same as --call check')
    .option(
      '--call <question>',
      'check, outline (parameters of the target), targets, or subrequests.describe; also …,format=json',
      'build',
    )
    .optionsGroup('What becomes of it:')
    .addOption(repeatable('-t, --tag <name>', 'name of the image (repeatable)'))
    .addOption(
      repeatable(
        '-o, --output <output>',
        'a directory, - for a tar archive, or type=image|oci|docker|tar|local,dest=…,… (repeatable)',
      ),
    )
    .option('--push', 'push the image to the registry in its name')
    .option(
      '--load',
      'bring the image into what runs containers on this machine; --load=docker, podman or containerd names it (…,address=unix://…,namespace=…)',
    )
    .addOption(new Option('--load-into <engine>').hideHelp())
    .addOption(
      repeatable(
        '--attest <type=…>',
        'attest the result: type=provenance,mode=max or type=sbom,generator=IMAGE (repeatable)',
      ),
    )
    .option('--provenance <value>', 'the same as --attest type=provenance: true, false, or mode=max,…')
    .option('--sbom <value>', 'the same as --attest type=sbom: true, false, or generator=…')
    .option('--iidfile <file>', "write the image's id to a file")
    .option('--metadata-file <file>', 'write what is known of the result to a file, as JSON')
    .optionsGroup('Remote caches:')
    .addOption(
      repeatable(
        '--cache-from, --import-cache <cache>',
        'type=registry,ref=… or type=local,src=… (repeatable)',
      ),
    )
    .addOption(
      repeatable(
        '--cache-to, --export-cache <cache>',
        'type=registry,ref=… or type=local,dest=…, type=inline (repeatable)',
      ),
    )
    .optionsGroup('Any frontend:');
  return frontendFlags(command)
    .option('--source-policy-file <file>', 'rules for sources, as JSON')
    .addOption(
      repeatable('--registry-auth-tlscontext <host=…,ca=…>', 'TLS for getting registry tokens (repeatable)'),
    )
    .option('--proxy-network', 'let steps reach the network only through a proxy')
    .optionsGroup('Progress:')
    .addOption(
      new Option('--progress <mode>', 'how progress is shown on standard error')
        .choices(progressModes)
        .default('auto'),
    )
    .option('--explain', 'say of each step that ran why it was not cached')
    .option('--debug-shell', 'open a shell in the step that fails, if one does')
    .option('-q, --quiet', "show nothing, print the image's id")
    .option('--trace <file>', 'add every progress event to a file, as JSON lines')
    .option('--ref-file <file>', "write the build's id to a file");
}

/** The flags that say what is built, and not what becomes of it. */
export function definitionOptions(command: Command): Command {
  return command
    .option(
      '-f, --file <file>',
      'Dockerfile (default: PATH/Dockerfile; - for standard input), or build.ts, whose exports are the targets',
    )
    .option('--target <stage>', 'stage to build, or function that a build file exports')
    .addOption(
      repeatable(
        '--build-arg <name=value>',
        'set an ARG; without a value, to that of the environment (repeatable)',
      ),
    )
    .addOption(
      repeatable(
        '--build-context <name=context>',
        'another context: a directory, docker-image://…, oci-layout://dir[:tag], an address (repeatable)',
      ),
    )
    .addOption(
      repeatable('--platform <platform>', 'platform to build for, for example linux/arm64 (repeatable)'),
    )
    .addOption(repeatable('--label <name=value>', 'label of the image (repeatable)'))
    .option('--no-cache', 'run every step again')
    .addOption(noCacheFilter())
    .option('--pull', 'look for newer base images')
    .addOption(repeatable('--add-host <name:address>', 'entry for /etc/hosts of the steps (repeatable)'))
    .option('--network <mode>', 'network of the steps: default, host or none')
    .option('--shm-size <size>', 'size of /dev/shm of the steps')
    .addOption(
      repeatable('--ulimit <name=soft[:hard]>', 'limit for the processes of the steps (repeatable)'),
    );
}

/** The flags of definitions that are not a Dockerfile's. */
export function frontendFlags(command: Command): Command {
  return command
    .option('--frontend <name>', 'dockerfile.v0 or gateway.v0 (default with a PATH: dockerfile.v0)')
    .addOption(repeatable('--opt <name=value>', "option in the frontend's words (repeatable)"))
    .addOption(repeatable('--local <name=dir>', 'directory the build may read (repeatable)'))
    .addOption(repeatable('--oci-layout <name=dir>', 'OCI layout the build may read (repeatable)'));
}

/** Commander would take it for the opposite of `--cache-filter`. */
function noCacheFilter(): Option {
  const option = repeatable('--no-cache-filter <stage>', 'run the steps of a stage again (repeatable)');
  option.negate = false;
  return option;
}
