import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { projectRoot } from '../../src/daemon/environment.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

export interface ProgramRun {
  code: number | null
  stdout: string
  stderr: string
}

export type Program = (...args: string[]) => Promise<ProgramRun>

/** One of the programs in src/cli, with an ENV_FILE of these settings. */
export async function cliProgram(
  t: TestContext,
  name: string,
  settings: Record<string, string>,
): Promise<Program> {
  const file = join(await temporaryFolder(t), 'test.env')
  const text = Object.entries(settings).map(([variable, value]) => `${variable}='${value}'\n`)
  await writeFile(file, text.join(''), { mode: 0o600 })
  const path = join(projectRoot, 'src', 'cli', `${name}.ts`)
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, TZ: settings.TZ ?? 'UTC', ENV_FILE: file }
  return async (...args) =>
    new Promise((resolve) => {
      const command = ['--import', 'tsx', path, ...args]
      const child = execFile(
        process.execPath,
        command,
        { cwd: projectRoot, env },
        (_, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
      )
    })
}
