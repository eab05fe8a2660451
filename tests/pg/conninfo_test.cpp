#include "pg/conninfo.h"

#include <doctest/doctest.h>

#include "pg/connection.h"

using namespace walback;

namespace {

std::vector<std::string> attempts(const std::string& conninfo) {
  const auto keywords = parse_conninfo(conninfo, "it");
  REQUIRE(keywords);
  std::vector<std::string> texts;
  for (const Keywords& attempt : connection_attempts(*keywords)) texts.push_back(render_conninfo(attempt));
  return texts;
}

}  // namespace

TEST_CASE("conninfo: a password is refused, whatever the form, and never repeated") {
  for (const char* conninfo :
       {"host=db1 password=hunter2", "postgresql://me:hunter2@db1/postgres",
        "postgresql://db1/postgres?password=hunter2", "host=db1 password = 'hunter2'"}) {
    const Status checked = check_conninfo(conninfo, "primary.conninfo");
    REQUIRE_FALSE(checked);
    CHECK(
        checked.error() ==
        Error{
            ErrorKind::config, "primary.conninfo holds a password, expected none",
            "Take it out and put it into ~/.pgpass (mode 0600) of the user that runs walback, into a service "
            "file, or into PGPASSWORD: a connection string shows in process lists."});
    CHECK_FALSE(with_keywords(conninfo, {}));
  }
  CHECK(check_conninfo("host=db1 passfile=/etc/walback/pgpass", "primary.conninfo"));
  CHECK(check_conninfo("", "primary.conninfo"));
}

TEST_CASE("conninfo: what libpq cannot read is said in its words, unless they might hold a secret") {
  auto checked = check_conninfo("host=db1 prot=5432", "primary.conninfo");
  REQUIRE_FALSE(checked);
  CHECK(checked.error() ==
        Error{ErrorKind::config,
              "primary.conninfo is no valid connection string: invalid connection option \"prot\"",
              "Write it as keyword=value pairs, for example \"host=db1 port=5432 user=walback "
              "dbname=postgres\"."});
  checked = check_conninfo("host=db1 password=hunter2 extra", "primary.conninfo");
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message == "primary.conninfo is no valid connection string: libpq cannot read it");
}

TEST_CASE("conninfo: keywords are set, replaced and quoted so that libpq reads the same again") {
  const std::string awkward = R"(it's a \ "name")";
  const auto text =
      with_keywords("host=db1 user='a b' dbname=postgres",
                    {{"dbname", "replication"}, {"application_name", awkward}, {"options", ""}});
  REQUIRE(text);
  const auto again = parse_conninfo(*text, "it");
  REQUIRE(again);
  CHECK(keyword(*again, "host") == "db1");
  CHECK(keyword(*again, "user") == "a b");
  CHECK(keyword(*again, "dbname") == "replication");
  CHECK(keyword(*again, "application_name") == awkward);
  const auto unknown = with_keywords("host=db1", {{"colour", "blue"}});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().message == "connection keyword 'colour' must not be set here");
  CHECK_FALSE(with_keywords("host=db1", {{"password", "hunter2"}}));
}

TEST_CASE("conninfo: a URI becomes pairs") {
  CHECK(*with_keywords("postgresql://me@db1:5433/postgres?sslmode=require", {}) ==
        "user=me dbname=postgres host=db1 port=5433 sslmode=require");
}

TEST_CASE("conninfo: several hosts are several attempts") {
  CHECK(attempts("host=a,b port=1,2") == std::vector<std::string>{"host=a port=1", "host=b port=2"});
  CHECK(attempts("host=a,b port=1") == std::vector<std::string>{"host=a port=1", "host=b port=1"});
  CHECK(attempts("hostaddr=10.0.0.1,10.0.0.2") ==
        std::vector<std::string>{"hostaddr=10.0.0.1", "hostaddr=10.0.0.2"});
  CHECK(attempts("host=a,b target_session_attrs=prefer-standby") ==
        std::vector<std::string>{"host=a target_session_attrs=standby", "host=b target_session_attrs=standby",
                                 "host=a target_session_attrs=any", "host=b target_session_attrs=any"});
  CHECK(attempts("host=a") == std::vector<std::string>{"host=a"});
  CHECK(attempts("host=a,b,c port=1,2") == std::vector<std::string>{"host=a,b,c port=1,2"});
}
