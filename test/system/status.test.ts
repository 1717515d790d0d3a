import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { projectRoot } from '../../src/daemon/environment.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** What a shell makes of a command with status.sh, about an installation that never ran; its exit code and its output. */
async function ran(t: TestContext, command: string): Promise<[number | null, string]> {
  const env = { ...process.env, ENV_FILE: join(await temporaryFolder(t), '.env'), TERM: 'xterm' }
  const options = { env, cwd: join(projectRoot, 'scripts') }
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], options)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return [code, output]
}

test('the exit code says how it is even where nothing can be written, or nobody reads on', async (t) => {
  for (const command of ['./status.sh >/dev/full', './status.sh --watch >/dev/full'])
    assert.deepEqual(await ran(t, command), [2, ''])
  assert.deepEqual(await ran(t, './status.sh | :'), [2, ''])
})

test('--watch shows it again each second, for as long as somebody reads', async (t) => {
  const [code, output] = await ran(t, './status.sh --watch | head -n 20')
  assert.equal(code, 0)
  assert.ok(output.split('DOWN: nothing is running').length > 2, output)
})

test('on a terminal --watch draws no more than fits, and leaves the terminal as it was', async (t) => {
  const [, output] = await ran(
    t,
    `script -qec 'stty cols 30 rows 5; timeout 3 ./status.sh --watch' /dev/null`,
  )
  const frames = output.replaceAll('\x1b', '␛').split('␛[?7l').slice(1)
  assert.ok(frames.length >= 2, output)
  for (const frame of frames) {
    assert.match(frame, /^␛\[H(.*␛\[K\r\n){4}␛\[J␛\[\?7h/)
    assert.match(frame, /DOWN/)
  }
})
