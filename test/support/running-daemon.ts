import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { projectRoot, readEnvironment } from '../../src/daemon/environment.ts'
import { atEnd } from './at-end.ts'
import { withCanaries, type Settings } from './canaries.ts'
import { watchForSecrets, type SecretWatch } from './secret-watch.ts'

let built: Promise<unknown> | undefined

/** Brings `dist/` up to date, once: the daemons run from it, as they do for their users. */
async function build(): Promise<void> {
  built ??= promisify(execFile)(join(projectRoot, 'scripts', 'setup.sh'), ['--quiet'])
  await built
}

/** A daemon that a test has started; what it logs is awaited, never slept for. */
export class RunningDaemon {
  readonly lines: string[] = []
  readonly process: ChildProcess
  readonly ended: Promise<number | null>
  #wake: () => void = () => {}

  constructor(
    daemon: 'recorder' | 'uploader',
    envFile: string,
    variables: NodeJS.ProcessEnv,
    under: string[],
  ) {
    const main = join(projectRoot, 'dist', daemon, 'main.js')
    // Not even a test run that is killed leaves one behind.
    const node = [process.execPath, '--max-semi-space-size=4', main]
    const args = ['--pdeathsig', 'KILL', '--', ...under, ...node]
    this.process = spawn('setpriv', args, {
      cwd: projectRoot,
      env: { ...process.env, ...variables, ENV_FILE: envFile },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.ended = once(this.process, 'close').then(([code]) => {
      this.#wake()
      return code as number | null
    })
    for (const output of [this.process.stdout, this.process.stderr]) {
      if (!output) continue
      createInterface({ input: output }).on('line', (line) => {
        this.lines.push(line)
        this.#wake()
      })
    }
  }

  /** The first line from index `from` on that matches; rejects when the daemon ends without it. */
  async line(pattern: RegExp, { from = 0, withinMs = 30_000 } = {}): Promise<string> {
    const deadline = performance.now() + withinMs
    for (;;) {
      const found = this.lines.slice(from).find((line) => pattern.test(line))
      if (found !== undefined) return found
      const leftMs = deadline - performance.now()
      if (leftMs <= 0 || this.process.exitCode !== null || this.process.signalCode !== null)
        throw new Error(`no line ${String(pattern)} in:\n${this.lines.join('\n')}`)
      await this.#nextLine(leftMs)
    }
  }

  async #nextLine(atMostMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, atMostMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Asks it to stop; answers its exit code. */
  async stop(): Promise<number | null> {
    this.process.kill('SIGTERM')
    return this.ended
  }
}

/**
 * Starts a daemon on an ENV_FILE of these settings below `folder`, with secrets where they have
 * none, with more variables in its environment, and under a program (`strace -D …`) that replaces
 * itself by what it starts. It never outlives the test, which fails if it has told a secret.
 */
export async function startDaemon(
  t: TestContext,
  daemon: 'recorder' | 'uploader',
  folder: string,
  settings: Settings,
  variables: NodeJS.ProcessEnv = {},
  under: string[] = [],
): Promise<RunningDaemon> {
  await build()
  const envFile = join(folder, '.env')
  const { runFolder } = readEnvironment({ ENV_FILE: envFile })
  const given = withCanaries({ BASE_DIR: folder, ...settings })
  const text = Object.entries(given).map(([name, value]) => `${name}='${value}'\n`)
  await writeFile(envFile, text.join(''), { mode: 0o600 })
  const base = String(given.BASE_DIR)
  const watch = watchInstallation(t, base, runFolder)
  watch.add(given)
  const running = new RunningDaemon(daemon, envFile, variables, under)
  watch.listen(() => running.lines.join('\n'))
  atEnd(t, async () => {
    running.process.kill('SIGKILL')
    await running.ended
  })
  return running
}

const watches = new WeakMap<TestContext, Map<string, SecretWatch>>()

/** One watch an installation, however many daemons of it are started. */
function watchInstallation(t: TestContext, base: string, runFolder: string): SecretWatch {
  const known = watches.get(t) ?? new Map<string, SecretWatch>()
  watches.set(t, known)
  const key = `${base} ${runFolder}`
  const watched = known.get(key)
  if (watched) return watched
  atEnd(t, async () => rm(runFolder, { recursive: true, force: true }))
  const folders = ['recordings', 'uploaded', 'data'].map((name) => join(base, name))
  const watch = watchForSecrets(t, [...folders, runFolder])
  known.set(key, watch)
  return watch
}
