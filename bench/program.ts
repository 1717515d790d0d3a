import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { projectRoot, readEnvironment } from '../src/daemon/environment.ts'

/** What a program in the background says of itself. */
export interface Said {
  urls: string[]
  url: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
}

/** What an uploader needs to know of a store. */
export function storeSettings({
  url,
  bucket,
  accessKeyId,
  secretAccessKey,
}: Said): Record<string, string | number> {
  return {
    ...{ S3_ENDPOINT: url, S3_BUCKET_NAME: bucket, AWS_ACCESS_KEY_ID: accessKeyId },
    ...{ AWS_SECRET_ACCESS_KEY: secretAccessKey, MIN_FREE_DISK_GB: 0 },
  }
}

/** What a benchmark has started and made; ended and removed when it is over, however it ends. */
export class Stage {
  readonly folder: string
  readonly #programs: Program[] = []
  readonly #runFolders: string[] = []

  static async open(): Promise<Stage> {
    return new Stage(await mkdtemp(join(tmpdir(), 'camera-to-s3-bench-')))
  }

  private constructor(folder: string) {
    this.folder = folder
  }

  start(command: string, args: string[], options: SpawnOptions = {}): Program {
    const program = new Program(command, args, options)
    this.#programs.push(program)
    return program
  }

  /** A daemon on an ENV_FILE of these settings, as its users run it. */
  async startDaemon(
    daemon: 'recorder' | 'uploader',
    settings: Record<string, string | number>,
    variables: NodeJS.ProcessEnv = {},
  ): Promise<Program> {
    const envFile = join(this.folder, `${daemon}.env`)
    const lines = Object.entries({ BASE_DIR: this.folder, ...settings })
    await writeFile(envFile, lines.map(([name, value]) => `${name}='${value}'\n`).join(''), {
      mode: 0o600,
    })
    const env = { ...process.env, ...variables, ENV_FILE: envFile }
    this.#runFolders.push(readEnvironment(env).runFolder)
    const main = join(projectRoot, 'dist', daemon, 'main.js')
    return this.start(process.execPath, ['--max-semi-space-size=4', main], {
      cwd: projectRoot,
      env,
    })
  }

  /** Cameras, or a store, in a process of their own. */
  async background(...args: string[]): Promise<{ program: Program; said: Said }> {
    const main = fileURLToPath(new URL('background.ts', import.meta.url))
    const program = this.start(process.execPath, ['--import', 'tsx', main, ...args])
    return { program, said: JSON.parse(await program.line(/^\{/)) as Said }
  }

  async close(): Promise<void> {
    for (const program of this.#programs.toReversed()) await program.end('SIGKILL')
    for (const folder of [this.folder, ...this.#runFolders])
      await rm(folder, { recursive: true, force: true })
  }
}

/** A process under measurement, or beside it. */
export class Program {
  readonly process: ChildProcess
  readonly lines: { text: string; atMs: number }[] = []
  readonly startedMs = performance.now()
  readonly ended: Promise<unknown>
  #wake: () => void = () => {}

  constructor(command: string, args: string[], options: SpawnOptions) {
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
    // One that is not installed has no PID, and ends so.
    this.ended = once(this.process, 'close').then(
      () => this.#wake(),
      () => this.#wake(),
    )
    for (const stream of [this.process.stdout, this.process.stderr])
      if (stream)
        createInterface({ input: stream }).on('line', (text) => {
          this.lines.push({ text, atMs: performance.now() })
          this.#wake()
        })
  }

  get pid(): number {
    if (this.process.pid === undefined) throw new Error(`${this.process.spawnfile} cannot be run`)
    return this.process.pid
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** The first line that matches, from one of its lines on. */
  async line(pattern: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = this.lines.slice(from).find(({ text }) => pattern.test(text))
      if (found) return found.text
      if (!this.isRunning)
        throw new Error(
          `no line ${String(pattern)} in:\n${this.lines.map(({ text }) => text).join('\n')}`,
        )
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Waits until so many lines match. */
  async count(pattern: RegExp, lines: number): Promise<void> {
    let from = 0
    for (let found = 0; found < lines;) {
      await this.line(pattern, from)
      for (; from < this.lines.length; from += 1)
        if (pattern.test(this.lines[from]?.text ?? '')) found += 1
    }
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.isRunning) this.process.kill(signal)
    await this.ended
  }
}
