import {
  type BaseImage,
  type BuildFile,
  type ContainerImage,
  containerImage,
  type FrontendBuild,
  type FrontendDefinition,
  runFrontend,
} from 'kiln/frontend';
import { files, type State } from 'kiln/llb';
import { type Dish, parseRecipe, type Step } from './parse-recipe.ts';

/** A frontend for recipes: see the tutorial, `docs/writing-a-frontend.md`. */
export const recipe: FrontendDefinition = {
  filename: 'Recipe',
  async build(build) {
    const kitchen = new Kitchen(build, await build.file());
    return await kitchen.make(kitchen.wanted.name);
  },
  async targets(build) {
    const { dishes, wanted } = new Kitchen(build, await build.file());
    return [...dishes.values()].map((dish) => ({ ...dish, isDefault: dish === wanted }));
  },
  async outline(build) {
    const { wanted } = new Kitchen(build, await build.file());
    const args = wanted.steps.flatMap((step) => (step.kind === 'ask' ? [step] : []));
    return { ...wanted, args };
  },
};

/** Makes the dishes of one file, each of them once. */
class Kitchen {
  readonly dishes: ReadonlyMap<string, Dish>;
  readonly #build: FrontendBuild;
  readonly #file: BuildFile;
  readonly #made = new Map<string, Promise<ContainerImage>>();

  constructor(build: FrontendBuild, file: BuildFile) {
    this.#build = build;
    this.#file = file;
    this.dishes = parseRecipe(file);
  }

  /** The dish that the client names, or the last one. */
  get wanted(): Dish {
    const { target } = this.#build;
    const dish = target === '' ? [...this.dishes.values()].at(-1) : this.dishes.get(target);
    if (dish) return dish;
    throw this.#file.error(1, `there is no dish ${target}`, {
      hint: `there is ${[...this.dishes.keys()].join(', ')}`,
    });
  }

  make(name: string): Promise<ContainerImage> {
    const made = this.#made.get(name) ?? this.#cook(this.dishes.get(name)!);
    this.#made.set(name, made);
    return made;
  }

  async #cook({ name, steps, line }: Dish): Promise<ContainerImage> {
    const [first, ...others] = steps;
    if (first?.kind !== 'from') throw this.#file.error(line, `dish ${name} has to start with: from IMAGE`);
    const { state: start, base } = await this.#start(first, line);
    let state = start;
    let serve: string | undefined;
    const asked = new Map<string, string>();
    for (const step of others) {
      const fill = (text: string) =>
        text.replace(
          /\$(\w+)/g,
          (all, word: string) => asked.get(word) ?? state.settings.env.get(word) ?? all,
        );
      const options = {
        name: `[${name}] ${this.#file.lines[step.line - 1]!.trim()}`,
        locations: [this.#file.at(step.line)],
      };
      switch (step.kind) {
        case 'from':
          throw this.#file.error(step.line, 'a dish starts once');
        case 'ask':
          asked.set(step.name, this.#build.buildArgs.get(step.name) ?? fill(step.value));
          break;
        case 'set':
          state = state.env(step.name, fill(step.value));
          break;
        case 'take': {
          const from = await this.#ingredient(step, line);
          const how = { dirCopyContents: true, createDestPath: true, followSymlink: true };
          state = state.file(files().copy(from, fill(step.path), fill(step.to), how), options);
          break;
        }
        case 'do':
          state = state.withTree(state.envs(asked).run(['/bin/sh', '-c', step.command], options).root);
          break;
        case 'serve':
          serve = step.command;
      }
    }
    return containerImage(state, {
      base,
      ...(serve !== undefined && { entrypoint: ['/bin/sh', '-c', serve] }),
    });
  }

  /** Another dish, or an image. */
  async #start(
    { name, line }: Step & { kind: 'from' },
    of: number,
  ): Promise<{ state: State; base: BaseImage | undefined }> {
    if (this.dishes.has(name)) {
      const { state, settings } = await this.#earlier(name, line, of);
      return { state, base: settings.base };
    }
    const base = await this.#build.image(name, { at: this.#file.at(line) }).catch((cause: Error) => {
      throw this.#file.error(line, cause.message, { cause });
    });
    return { state: base.state, base };
  }

  /** What files are taken from: another dish, or the client's directory. */
  async #ingredient({ dish, path, line }: Step & { kind: 'take' }, of: number): Promise<State> {
    return dish === undefined
      ? await this.#build.context([path])
      : (await this.#earlier(dish, line, of)).state;
  }

  /** A dish that comes earlier in the file: so none is made of itself. */
  async #earlier(name: string, line: number, of: number): Promise<ContainerImage> {
    const dish = this.dishes.get(name);
    if (!dish || dish.line >= of) throw this.#file.error(line, `there is no dish ${name} before this one`);
    return await this.make(name);
  }
}

// As the program of an image. A test imports this file, and does not run it.
if (import.meta.main) await runFrontend(recipe);
