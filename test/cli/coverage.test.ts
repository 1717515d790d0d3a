import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { cliProgram } from './cli-program.ts'

for (const [name, ...args] of [['coverage'], ['find', '--at', '12:00']] as const)
  test(`${name}.sh says of a BASE_DIR that is not there no more than that`, async (t) => {
    const base = join(await temporaryFolder(t), 'mnt')
    const run = await cliProgram(t, name, { BASE_DIR: base })
    const none = await run(...args)
    assert.deepEqual([none.code, none.stdout], [1, ''])
    assert.match(none.stderr, /^✗ BASE_DIR .*mnt is not there: is its disk mounted\?$/m)
    await mkdir(base)
    assert.match((await run(...args)).stderr, /mnt holds no data\/: is its disk mounted\?$/m)
  })

test('where nothing was ever recorded, not all is well', async (t) => {
  const base = await temporaryFolder(t)
  await mkdir(join(base, 'data'))
  const { code, stdout } = await (await cliProgram(t, 'coverage', { BASE_DIR: base }))()
  assert.deepEqual(
    [code, stdout],
    [1, 'Nothing was recorded here, and nothing was to be expected.\n'],
  )
})
