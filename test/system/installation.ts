import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRtspCamera, type RtspCamera } from '../../demo/rtsp-camera.ts'
import { startS3Server, type S3Server } from '../../demo/s3-server.ts'
import { readReport, type InstallationReport } from '../../src/cli/installation-report.ts'
import { projectRoot, readEnvironment } from '../../src/daemon/environment.ts'
import { foldersBelow, type Folders } from '../../src/segments/folders.ts'
import { atEnd } from '../support/at-end.ts'
import { canary, canaryKeys, inUrl, type Settings } from '../support/canaries.ts'
import { cachedClip } from '../support/clips.ts'
import { watchForSecrets, type SecretWatch } from '../support/secret-watch.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

export interface ScriptRun {
  code: number | null
  /** What it wrote to stdout and stderr. */
  output: string
  ms: number
}

const bucket = 'test-footage'

/** Settings of whoever runs the tests must not reach what is tested. */
const cleanVariables = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^(AWS|S3|CAMERA|VIDEO|LOG|ALERT|HEARTBEAT)_|_SECONDS$|^BASE_DIR$|^ENV_FILE$/.test(name),
  ),
)

/** An ENV_FILE with its folders, a camera and a store, driven by the scripts as a user would. */
export class Installation {
  readonly envFile: string
  readonly runFolder: string
  readonly folders: Folders
  /** What the scripts are given in their environment, beside ENV_FILE. */
  variables: Record<string, string> = {}
  settings: Settings
  readonly #secrets: SecretWatch
  #printed = ''

  constructor(t: TestContext, folder: string, settings: Settings) {
    this.envFile = join(folder, 'my settings.env')
    this.runFolder = readEnvironment({ ENV_FILE: this.envFile }).runFolder
    this.folders = foldersBelow(join(folder, 'base dir'))
    this.settings = { BASE_DIR: this.folders.base, ...settings }
    atEnd(t, async () => rm(this.runFolder, { recursive: true, force: true }))
    this.#secrets = watchForSecrets(t, [folder, this.runFolder])
    this.#secrets.listen(() => this.#printed)
  }

  /** Writes ENV_FILE, with some settings changed. */
  async configure(changes: Settings = {}): Promise<void> {
    const settings = { ...this.settings, ...changes }
    this.#secrets.add(settings)
    const lines = Object.entries(settings).map(([k, v]) => `${k}="${v}"\n`)
    await writeFile(this.envFile, lines.join(''), { mode: 0o600 })
  }

  /** Runs a script as a user would, until its pipes are closed. */
  async run(script: string, ...args: string[]): Promise<ScriptRun> {
    const run = await runScript(script, args, { ...this.variables, ENV_FILE: this.envFile })
    this.#printed += run.output
    return run
  }

  async report(): Promise<InstallationReport> {
    return readReport(readEnvironment({ ENV_FILE: this.envFile }))
  }

  async pid(daemon: 'recorder' | 'uploader'): Promise<number> {
    const { pid } = (await this.report())[daemon]
    assert.ok(pid, `the ${daemon} is not running`)
    return pid
  }

  async keepAlivePid(daemon: 'recorder' | 'uploader'): Promise<number> {
    const { keepAlivePid } = (await this.report())[daemon]
    assert.ok(keepAlivePid, `nobody keeps the ${daemon} alive`)
    return keepAlivePid
  }

  /** Waits until a daemon runs under another PID than `before`, and has said how it is. */
  async replaced(daemon: 'recorder' | 'uploader', before: number, withinMs = 5000): Promise<void> {
    await until(withinMs, `the ${daemon} runs again`, async () => {
      const { pid, status } = (await this.report())[daemon]
      return pid !== undefined && pid !== before && status?.pid === pid
    })
  }

  /** Every line in every log of a daemon. */
  async log(daemon: string): Promise<string> {
    const names = (await readdir(this.folders.logs)).filter((name) => name.startsWith(`${daemon}_`))
    const texts = names.sort().map(async (name) => readFile(join(this.folders.logs, name), 'utf8'))
    return (await Promise.all(texts)).join('')
  }

  /** What runs with this ENV_FILE in its environment: `<pid> <command line>`. */
  processes(): string[] {
    return processesWith(`ENV_FILE=${this.envFile}`)
  }
}

/** For tests of anything but recording: it fails at once, and costs nothing. */
export const unreachableCamera = {
  CAMERA_1_URL: `rtsp://admin:${inUrl(canary())}@127.0.0.1:9/main`,
}

/**
 * A configured installation with a camera and a store that work. Nothing of it outlives the test,
 * which fails if a secret was told to anyone.
 */
export async function startInstallation(
  t: TestContext,
  settings: Settings = {},
): Promise<{ installation: Installation; camera: RtspCamera; s3: S3Server }> {
  const folder = await temporaryFolder(t)
  const clip = await cachedClip()
  const camera = await startRtspCamera({ clip, user: 'admin', password: canary() })
  atEnd(t, async () => camera.close())
  const keys = canaryKeys()
  const s3 = await startS3Server({ bucket, ...keys, folder: join(folder, 's3') })
  atEnd(t, async () => s3.close())
  const installation = new Installation(t, folder, {
    CAMERA_1_NAME: 'Front',
    CAMERA_1_URL: camera.url,
    S3_BUCKET_NAME: bucket,
    S3_ENDPOINT: s3.endpoint,
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    SEGMENT_DURATION: 5,
    ...settings,
  })
  await mkdir(installation.folders.base, { recursive: true })
  await installation.configure()
  atEnd(t, async () => {
    await installation.run('stop.sh')
    for (const line of installation.processes()) process.kill(Number(line.split(' ')[0]), 'SIGKILL')
  })
  return { installation, camera, s3 }
}

/** Runs a script until it has ended and nobody holds its pipes any more. */
export async function runScript(
  script: string,
  args: string[],
  variables: Record<string, string> = {},
): Promise<ScriptRun> {
  const started = performance.now()
  const child = spawn(join(projectRoot, 'scripts', script), args, {
    cwd: '/',
    env: { ...cleanVariables, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => void (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output, ms: performance.now() - started }
}

/** Asks again and again until the answer is yes. */
export async function until(
  withinMs: number,
  what: string,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `not within ${withinMs} ms: ${what}`)
    await sleep(100)
  }
}

/** Each process with this in its environment: `<pid> <command line>`. */
export function processesWith(variable: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(variable)) return []
      return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`]
    } catch {
      return [] // it has ended in between
    }
  })
}
