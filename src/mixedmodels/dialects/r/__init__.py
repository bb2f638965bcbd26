"""R's text: a lexer and a parser of calls, and the constructors of nlme read. It is data; nothing of it is executed."""
