/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: pool
-- ------------------------------------------------------
-- Server version	10.11.19-MariaDB-0+deb12u1

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

--
-- Dumping data for table `block`
--

LOCK TABLES `block` WRITE;
/*!40000 ALTER TABLE `block` DISABLE KEYS */;
INSERT INTO `block` (`id`, `hash`, `height`, `main_chain`, `datetime`) VALUES (1,'\0\'\"\\\n\r\Z	%_€ÿÃ(,);\0\0\0\0\0\0\0\0\0\0\0\0\0\0',100,1,1764477000000);
INSERT INTO `block` (`id`, `hash`, `height`, `main_chain`, `datetime`) VALUES (2,'\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\',101,1,1764477000000);
INSERT INTO `block` (`id`, `hash`, `height`, `main_chain`, `datetime`) VALUES (3,'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'\'',102,0,1764477000000);
INSERT INTO `block` (`id`, `hash`, `height`, `main_chain`, `datetime`) VALUES (4,'ÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿ',115,1,1764477000000);
/*!40000 ALTER TABLE `block` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Dumping data for table `payin`
--

LOCK TABLES `payin` WRITE;
/*!40000 ALTER TABLE `payin` DISABLE KEYS */;
INSERT INTO `payin` (`id`, `user`, `amount`, `block`) VALUES (1,1,264000060,2);
INSERT INTO `payin` (`id`, `user`, `amount`, `block`) VALUES (2,2,171600039,2);
INSERT INTO `payin` (`id`, `user`, `amount`, `block`) VALUES (3,2,440000000,3);
INSERT INTO `payin` (`id`, `user`, `amount`, `block`) VALUES (4,3,1e15,2);
INSERT INTO `payin` (`id`, `user`, `amount`, `block`) VALUES (5,1,5,4);
/*!40000 ALTER TABLE `payin` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Dumping data for table `payout`
--

LOCK TABLES `payout` WRITE;
/*!40000 ALTER TABLE `payout` DISABLE KEYS */;
INSERT INTO `payout` (`id`, `user`, `amount`, `datetime`, `transaction`) VALUES (1,1,264000000,1764477000003,'\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"');
INSERT INTO `payout` (`id`, `user`, `amount`, `datetime`, `transaction`) VALUES (2,3,1e15,1764477000004,'\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z\Z');
/*!40000 ALTER TABLE `payout` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Dumping data for table `payout_request`
--

LOCK TABLES `payout_request` WRITE;
/*!40000 ALTER TABLE `payout_request` DISABLE KEYS */;
INSERT INTO `payout_request` (`id`, `user`) VALUES (1,2);
/*!40000 ALTER TABLE `payout_request` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Dumping data for table `shares`
--

LOCK TABLES `shares` WRITE;
/*!40000 ALTER TABLE `shares` DISABLE KEYS */;
INSERT INTO `shares` (`id`, `user`, `device`, `prev_block`, `count`, `difficulty`) VALUES (1,1,4294967295,1,3,1.5);
INSERT INTO `shares` (`id`, `user`, `device`, `prev_block`, `count`, `difficulty`) VALUES (2,2,7,1,1,0.0009765625);
/*!40000 ALTER TABLE `shares` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Dumping data for table `user`
--

LOCK TABLES `user` WRITE;
/*!40000 ALTER TABLE `user` DISABLE KEYS */;
INSERT INTO `user` (`id`, `address`) VALUES (2,'AgICAgICAgICAgICAgICAgICAgI=');
INSERT INTO `user` (`id`, `address`) VALUES (1,'AQEBAQEBAQEBAQEBAQEBAQEBAQE=');
INSERT INTO `user` (`id`, `address`) VALUES (3,'AwMDAwMDAwMDAwMDAwMDAwMDAwM=');
/*!40000 ALTER TABLE `user` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed
