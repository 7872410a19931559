CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE tokens (
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	machine BOOLEAN NOT NULL,
	scopes TEXT NOT NULL,
	hash TEXT NOT NULL,
	created FLOAT NOT NULL,
	expires FLOAT,
	revoked FLOAT,
	host TEXT NOT NULL,
	used FLOAT,
	CONSTRAINT pk_tokens PRIMARY KEY (id)
);
CREATE TABLE sessions (
	hash TEXT NOT NULL,
	token TEXT NOT NULL,
	csrf TEXT NOT NULL,
	created FLOAT NOT NULL,
	expires FLOAT NOT NULL,
	CONSTRAINT pk_sessions PRIMARY KEY (hash),
	CONSTRAINT fk_sessions_token FOREIGN KEY(token) REFERENCES tokens (id)
);
CREATE TABLE uploads (
	token TEXT NOT NULL,
	"key" TEXT NOT NULL,
	digest TEXT NOT NULL,
	run TEXT NOT NULL,
	time FLOAT NOT NULL,
	watch TEXT NOT NULL,
	"commit" TEXT NOT NULL,
	branch TEXT NOT NULL,
	CONSTRAINT pk_uploads PRIMARY KEY (token, "key"),
	CONSTRAINT fk_uploads_token FOREIGN KEY(token) REFERENCES tokens (id)
);
CREATE INDEX ix_uploads_watch ON uploads (watch, "commit");
CREATE TABLE audit (
	number INTEGER NOT NULL,
	time FLOAT NOT NULL,
	token TEXT NOT NULL,
	name TEXT NOT NULL,
	address TEXT NOT NULL,
	action TEXT NOT NULL,
	subject TEXT NOT NULL,
	outcome TEXT NOT NULL,
	CONSTRAINT pk_audit PRIMARY KEY (number)
);
CREATE TABLE requests (
	id TEXT NOT NULL,
	created FLOAT NOT NULL,
	token TEXT NOT NULL,
	person TEXT NOT NULL,
	source TEXT NOT NULL,
	"key" TEXT,
	base TEXT NOT NULL,
	head TEXT NOT NULL,
	suite TEXT NOT NULL,
	"select" TEXT NOT NULL,
	margin FLOAT NOT NULL,
	budget FLOAT NOT NULL,
	machine TEXT NOT NULL,
	priority INTEGER NOT NULL,
	state TEXT NOT NULL,
	finished FLOAT,
	problem TEXT NOT NULL,
	reply TEXT NOT NULL,
	told TEXT NOT NULL,
	CONSTRAINT pk_requests PRIMARY KEY (id),
	CONSTRAINT uq_requests_key UNIQUE ("key")
);
CREATE INDEX ix_requests_state ON requests (state, created);
CREATE TABLE leases (
	id TEXT NOT NULL,
	request TEXT NOT NULL,
	machine TEXT NOT NULL,
	token TEXT NOT NULL,
	facts TEXT NOT NULL,
	begun FLOAT NOT NULL,
	expires FLOAT NOT NULL,
	heard FLOAT,
	ended FLOAT,
	state TEXT NOT NULL,
	note TEXT NOT NULL,
	CONSTRAINT pk_leases PRIMARY KEY (id),
	CONSTRAINT fk_leases_request FOREIGN KEY(request) REFERENCES requests (id)
);
CREATE INDEX ix_leases_request ON leases (request);
CREATE INDEX ix_leases_begun ON leases (begun);
CREATE UNIQUE INDEX uq_leases_request_held ON leases (request) WHERE state = 'held';
CREATE UNIQUE INDEX uq_leases_token_held ON leases (token) WHERE state = 'held';
CREATE TABLE results (
	request TEXT NOT NULL,
	run TEXT NOT NULL,
	lease TEXT NOT NULL,
	CONSTRAINT pk_results PRIMARY KEY (request, run),
	CONSTRAINT fk_results_request FOREIGN KEY(request) REFERENCES requests (id)
);
CREATE TABLE deliveries (
	id TEXT NOT NULL,
	time FLOAT NOT NULL,
	CONSTRAINT pk_deliveries PRIMARY KEY (id)
);
INSERT INTO alembic_version (version_num) VALUES ('0001');
