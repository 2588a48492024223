import 'reflect-metadata';

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Controller, Get, Injectable, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

const { version } = JSON.parse(readFileSync(join(__dirname, '../package.json'), 'utf8')) as { version: string };

@Injectable()
class Greeter {
  greet(name: string): string {
    return `hello, ${name}`;
  }
}

@Controller()
class AppController {
  constructor(private readonly greeter: Greeter) {}

  @Get('version')
  version(): string {
    return `v${version}`;
  }

  @Get('greet/:name')
  greet(@Param('name') name: string): { greeting: string } {
    return { greeting: this.greeter.greet(name) };
  }

  @Get('broken')
  broken(): never {
    throw new Error('broken on purpose');
  }
}

@Module({ controllers: [AppController], providers: [Greeter] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks();
  await app.listen(process.env.PORT ?? 3000);
}

void main();
